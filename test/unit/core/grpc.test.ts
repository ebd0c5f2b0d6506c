import { expect, it } from 'vitest';
import { isGrpc } from '../../../src/core/grpc.ts';
import { HeaderList } from '../../../src/core/headers.ts';

it.each([
  ['application/grpc', true],
  ['application/grpc+proto', true],
  ['application/grpc;charset=utf-8', true],
  ['Application/GRPC', true],
  ['application/grpc-web', false],
  ['application/grpc-web+proto', false],
  ['application/grpcs', false],
  ['text/plain; a=application/grpc', false],
])('%s is of gRPC: %s', (type, expected) => {
  expect(isGrpc(HeaderList.of(['Content-Type', type]))).toBe(expected);
});

it('what has no type is not of gRPC', () => expect(isGrpc(HeaderList.of())).toBe(false));

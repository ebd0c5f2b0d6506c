/** Duty: which messages are gRPC's: application/grpc, also with a format behind it, and not gRPC-Web (grpc/grpc, PROTOCOL-HTTP2). */
import type { HeaderList } from './headers.ts';

const GRPC = /^application\/grpc(?:[+;]|$)/i;

export const isGrpc = (headers: HeaderList): boolean => GRPC.test(headers.get('content-type') ?? '');

import { describe, expect, it } from 'vitest';
import type { EgressError } from '../../../../src/core/errors.ts';
import { HeaderList } from '../../../../src/core/headers.ts';
import { parseClientAuthorization } from '../../../../src/injection/sigv4/authorization-grammar.ts';

const CREDENTIAL = 'Credential=AKIDEXAMPLE000000/20150830/us-east-1/iam/aws4_request';
const SIGNED = 'SignedHeaders=content-type;host;x-amz-date';
const SIGNATURE = `Signature=${'5d'.repeat(32)}`;

const parse = (value: string) =>
  parseClientAuthorization({ method: 'GET', headers: HeaderList.of(['Authorization', value]), query: null }, false);
const outcome = (value: string): string => {
  try {
    parse(value);
    return 'parsed';
  } catch (thrown) {
    return (thrown as EgressError).message;
  }
};

describe('the Authorization of a client', () => {
  it.each([', ', ',', ' , ', ',  '])('may separate its components with "%s"', (comma) => {
    expect(parse(`AWS4-HMAC-SHA256 ${[CREDENTIAL, SIGNED, SIGNATURE].join(comma)}`)).toEqual({
      accessKeyId: 'AKIDEXAMPLE000000',
      scope: { date: '20150830', region: 'us-east-1', service: 'iam' },
      signedNames: ['content-type', 'host', 'x-amz-date'],
      signature: '5d'.repeat(32),
      presigned: null,
    });
  });

  it('may have them in any order', () => {
    expect(parse(`AWS4-HMAC-SHA256 ${SIGNATURE},${SIGNED},${CREDENTIAL}`).scope.service).toBe('iam');
  });

  it.each([
    [`${CREDENTIAL}, ${SIGNED}`, 'there is no well-formed Signature'],
    [`${CREDENTIAL}, ${SIGNED}, ${SIGNATURE}0`, 'there is no well-formed Signature'],
    [`${CREDENTIAL}, ${SIGNED}, ${SIGNATURE.replace('5d', '5D')}`, 'there is no well-formed Signature'],
    [`${SIGNED}, ${SIGNATURE}`, 'there is no well-formed Credential'],
    [`${CREDENTIAL}/x, ${SIGNED}, ${SIGNATURE}`, 'there is no well-formed Credential'],
    [`${CREDENTIAL.replace('us-east-1', 'US')}, ${SIGNED}, ${SIGNATURE}`, 'there is no well-formed Credential'],
    [`${CREDENTIAL}, ${SIGNED}, ${SIGNATURE}, ${SIGNATURE}`, 'the Authorization field has Signature twice'],
    [`${CREDENTIAL}, ${SIGNED}, ${SIGNATURE}, Extra=1`, 'the Authorization field is malformed'],
    [`${CREDENTIAL}, ${SIGNED}, ${SIGNATURE},`, 'the Authorization field is malformed'],
    [`${CREDENTIAL} ${SIGNED} ${SIGNATURE}`, 'the Authorization field is malformed'],
    [`${CREDENTIAL}, SignedHeaders=x-amz-date, ${SIGNATURE}`, 'host is not among the SignedHeaders'],
    [
      `${CREDENTIAL}, SignedHeaders=host;content-type, ${SIGNATURE}`,
      'SignedHeaders is not a sorted list of lower-case names',
    ],
    [`${CREDENTIAL}, SignedHeaders=host;host, ${SIGNATURE}`, 'SignedHeaders is not a sorted list of lower-case names'],
    [`${CREDENTIAL}, SignedHeaders=Host, ${SIGNATURE}`, 'SignedHeaders is not a sorted list of lower-case names'],
    [`${CREDENTIAL}, SignedHeaders=;host, ${SIGNATURE}`, 'SignedHeaders is not a sorted list of lower-case names'],
  ])('is refused by name where it is malformed: %s', (components, why) => {
    expect(outcome(`AWS4-HMAC-SHA256 ${components}`)).toBe(`client_signature_invalid: ${why}`);
  });
});

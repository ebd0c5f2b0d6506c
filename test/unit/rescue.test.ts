import { describe, expect, it } from 'vitest';
import { EgressError } from '../../src/core/errors.ts';
import { HeaderList } from '../../src/core/headers.ts';
import { collectBody, EMPTY_BODY, type RequestHead } from '../../src/core/message.ts';
import { type Asker, dialectOf, rescue } from '../../src/rescue.ts';

const REFUSAL = new EgressError('client_signature_invalid', { detail: 'not ours: <ü>\r\n' });
const IDENTIFIED: Asker = { isIdentified: true, id: 'c1' };

const signed = (authorization: string, contentType = 'application/x-amz-json-1.0'): RequestHead =>
  ({
    method: 'POST',
    version: '1.1',
    query: null,
    headers: HeaderList.of(['authorization', authorization], ['content-type', contentType]),
  }) as unknown as RequestHead;

describe('the status line of a refusal', () => {
  it('says why, in visible ASCII on one line', () => {
    const { head } = rescue(REFUSAL, IDENTIFIED) ?? {};
    expect(head).toMatchObject({
      status: 403,
      reason: expect.stringMatching(/^countersign: The AWS signature .*: not ours: <\?>\?\?$/),
    });
  });

  it('says nothing to strangers', () => {
    expect(rescue(REFUSAL, { isIdentified: false, id: 'c1' })?.head.reason).toBe('Forbidden');
  });
});

it('a problem document has the sentence where the AWS SDKs of JSON look for it, and those of OpenAI', async () => {
  const body = rescue(REFUSAL, IDENTIFIED)?.body ?? EMPTY_BODY;
  const message =
    'countersign: The AWS signature does not verify with the placeholder key of this workload: not ours: <ü>\r\n';
  expect(JSON.parse(String(await collectBody(body, 10_000)))).toMatchObject({ message, error: { message } });
});

it('git is told in plain text, the one type that it shows', async () => {
  const head = { ...signed(''), headers: HeaderList.of(['user-agent', 'git/2.39.5']) };
  expect(dialectOf(head)).toBe('text');
  const { head: answer, body } = rescue(REFUSAL, { ...IDENTIFIED, dialect: 'text' }) ?? { body: EMPTY_BODY };
  expect(answer?.headers.get('content-type')).toBe('text/plain; charset=utf-8');
  expect(String(await collectBody(body, 10_000))).toMatch(/^countersign: The AWS signature .*: not ours: <ü>\r\n\n$/);
});

describe('the dialect of an error', () => {
  const hmac = (service: string): string =>
    `AWS4-HMAC-SHA256 Credential=AKID/20260115/us-east-1/${service}/aws4_request, x`;
  const ecdsa = (service: string): string =>
    `AWS4-ECDSA-P256-SHA256 Credential=AKID/20260115/${service}/aws4_request, x`;

  it.each([
    [hmac('s3'), undefined, 's3'],
    [ecdsa('s3'), undefined, 's3'],
    [hmac('sts'), 'application/x-www-form-urlencoded; charset=utf-8', 'aws-query'],
    [ecdsa('sts'), 'application/x-www-form-urlencoded', 'aws-query'],
    [hmac('dynamodb'), undefined, 'problem'],
    [ecdsa('events'), undefined, 'problem'],
    ['Bearer Credential=AKID/20260115/us-east-1/s3/aws4_request', undefined, 'problem'],
  ])('%s %s: %s', (authorization, contentType, dialect) => {
    expect(dialectOf(signed(authorization, contentType))).toBe(dialect);
  });
});

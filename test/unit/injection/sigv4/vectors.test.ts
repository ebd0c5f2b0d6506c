import { hash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { Secret } from '../../../../src/core/secret.ts';
import { HmacKey } from '../../../../src/injection/sigv4/hmac-key.ts';
import { amzDateOf, scopeText } from '../../../../src/injection/sigv4/scope-text.ts';
import { deriveSigningKey } from '../../../../src/injection/sigv4/signing-key.ts';
import { textsOf, trimmed, type VectorParts } from './vector-texts.ts';
import { parseVectorRequest, readVectors, type Vector } from './vectors.ts';

const vectors = readVectors();
const sha256 = (text: string): string => hash('sha256', Buffer.from(text, 'latin1'), 'hex');
function sign(vector: Vector, parts: VectorParts): { canonical: string; text: string; signature: string } {
  const { region, service, timestamp, credentials } = vector.context;
  const scope = { date: amzDateOf(Date.parse(timestamp)).slice(0, 8), region, service };
  const texts = textsOf(vector, parts, scope);
  const key = deriveSigningKey(Buffer.from(credentials.secret_access_key), scope);
  return { ...texts, signature: new HmacKey(key).sign(texts.text) };
}

describe.skipIf(vectors === null)('the official signing vectors', () => {
  it('are all here', () => {
    expect(vectors?.length).toBe(38);
  });

  it.each((vectors ?? []).map((vector) => [vector.name, vector] as const))('header signing of %s', (_name, vector) => {
    const { sign_body: signsBody, omit_session_token: omitsToken, timestamp, credentials } = vector.context;
    const { fields, query, body } = parseVectorRequest(vector.request);
    const payloadHash = sha256(signsBody ? body : '');
    const all = [...fields, ['X-Amz-Date', amzDateOf(Date.parse(timestamp))] as const];
    if (signsBody) all.push(['x-amz-content-sha256', payloadHash]);
    const token =
      credentials.token === undefined || omitsToken === true ? null : Secret.copyOf(Buffer.from(credentials.token));
    const signed = sign(vector, { fields: all, query, secret: token, payloadHash });
    expect(signed.canonical).toBe(trimmed(vector['header-canonical-request']));
    expect(signed.text).toBe(trimmed(vector['header-string-to-sign']));
    expect(signed.signature).toBe(trimmed(vector['header-signature']));
  });

  it.each((vectors ?? []).map((vector) => [vector.name, vector] as const))('query signing of %s', (_name, vector) => {
    const {
      timestamp,
      region,
      service,
      omit_session_token: omitsToken,
      credentials,
      sign_body: signsBody,
    } = vector.context;
    const { fields, query, body } = parseVectorRequest(vector.request);
    const amzDate = amzDateOf(Date.parse(timestamp));
    const scope = scopeText({ date: amzDate.slice(0, 8), region, service });
    const names = [...new Set(fields.map(([name]) => name.toLowerCase()))].sort();
    const parameters = [
      'X-Amz-Algorithm=AWS4-HMAC-SHA256',
      `X-Amz-Credential=${encodeURIComponent(`${credentials.access_key_id}/${scope}`)}`,
      `X-Amz-Date=${amzDate}`,
      `X-Amz-SignedHeaders=${encodeURIComponent(names.join(';'))}`,
      'X-Amz-Expires=3600',
    ];
    if (credentials.token !== undefined && omitsToken !== true)
      parameters.push(`X-Amz-Security-Token=${encodeURIComponent(credentials.token)}`);
    const whole = [...(query === null ? [] : [query]), ...parameters].join('&');
    const signed = sign(vector, { fields, query: whole, secret: null, payloadHash: sha256(signsBody ? body : '') });
    expect(signed.canonical).toBe(trimmed(vector['query-canonical-request']));
    expect(signed.text).toBe(trimmed(vector['query-string-to-sign']));
    expect(signed.signature).toBe(trimmed(vector['query-signature']));
  });
});

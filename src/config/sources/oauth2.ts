/** Duty: `spec.oauth2`: its words and what they mean. */
import { z } from 'zod';
import type { OAuth2SourceOptions } from '../../credential/options.ts';
import { empty, list, spelled, text } from '../shapes.ts';
import { keptIn, keptShape } from './kept-shape.ts';
import { baseUrl, checkedUrl } from './provider-shape.ts';
import type { SourceDocument } from './source-document.ts';

const EXAMPLE = 'https://login.example.com/oauth/token';

const scopeToken = spelled('a scope without spaces', /^[\x21\x23-\x5b\x5d-\x7e]{1,256}$/, 'read:orders');
const ALGORITHMS = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA'] as const;

export const oauth2Shape = z.strictObject({
  tokenUrl: baseUrl.meta({ examples: [EXAMPLE] }),
  clientId: spelled('a client id', /^[\x20-\x7e]{1,512}$/, 'countersign'),
  auth: z
    .strictObject({
      clientSecret: z.strictObject({ ...keptShape.shape, method: z.enum(['basic', 'post']).optional() }).optional(),
      privateKeyJwt: z
        .strictObject({
          file: text,
          groupReadable: z.boolean().optional(),
          alg: z.enum(ALGORITHMS).optional(),
          kid: text.optional(),
          audience: text.optional(),
        })
        .optional(),
      none: empty.optional(),
    })
    .meta({ minProperties: 1, maxProperties: 1 }),
  grant: z
    .strictObject({
      clientCredentials: empty.optional(),
      refreshToken: keptShape.optional(),
      tokenExchange: z.strictObject({ subjectAudience: list(text).optional() }).optional(),
    })
    .meta({ minProperties: 1, maxProperties: 1 })
    .optional(),
  scope: list(scopeToken).optional(),
  audience: text.optional(),
  resource: text.optional(),
  caFile: text.optional(),
});

type Spec = z.infer<typeof oauth2Shape>;

export function compileOAuth2(oauth2: Spec, source: SourceDocument): OAuth2SourceOptions {
  const url = checkedUrl(source, 'tokenUrl', oauth2.tokenUrl, EXAMPLE);
  assertOne(source, 'auth', oauth2.auth, 'clientSecret, privateKeyJwt or none');
  if (oauth2.grant !== undefined)
    assertOne(source, 'grant', oauth2.grant, 'clientCredentials, refreshToken or tokenExchange');
  const grant = grantOf(oauth2, source);
  if (grant.kind === 'clientCredentials' && Object.keys(oauth2.auth).join() === 'none')
    source.refuse(
      ['auth'],
      'a client that proves nothing gets no token for itself',
      'use clientSecret or privateKeyJwt',
    );
  return {
    kind: 'oauth2',
    name: source.name,
    baseUrl: url,
    path: /^https?:\/\/[^/]+$/.test(url) ? '/' : '',
    caFile: source.roots(['caFile'], oauth2.caFile),
    clientId: oauth2.clientId,
    auth: authOf(oauth2, source),
    grant,
    scope: oauth2.scope ?? [],
    audience: oauth2.audience ?? null,
    resource: oauth2.resource ?? null,
  };
}

function assertOne(source: SourceDocument, key: string, given: object, known: string): void {
  const names = Object.keys(given);
  if (names.length === 0) source.refuse([key], `"${key}" is empty`, `write one of ${known}`);
  if (names.length > 1) source.refuse([key], `${names.join(' and ')} exclude each other`, 'keep one');
}

function authOf({ auth, tokenUrl }: Spec, source: SourceDocument): OAuth2SourceOptions['auth'] {
  if (auth.privateKeyJwt !== undefined) {
    const { file, groupReadable, alg, kid, audience } = auth.privateKeyJwt;
    return {
      kind: 'privateKeyJwt',
      path: source.resolve(file),
      isGroupReadable: groupReadable ?? false,
      alg: alg ?? null,
      kid: kid ?? null,
      audience: audience ?? tokenUrl,
    };
  }
  if (auth.clientSecret === undefined) return { kind: 'none' };
  const secret = keptIn(['auth', 'clientSecret'], auth.clientSecret, source);
  return { kind: 'clientSecret', secret, method: auth.clientSecret.method ?? 'basic' };
}

function grantOf({ grant, tokenUrl }: Spec, source: SourceDocument): OAuth2SourceOptions['grant'] {
  if (grant?.refreshToken !== undefined)
    return { kind: 'refreshToken', token: keptIn(['grant', 'refreshToken'], grant.refreshToken, source) };
  if (grant?.tokenExchange !== undefined)
    return { kind: 'tokenExchange', subjectAudience: grant.tokenExchange.subjectAudience ?? [tokenUrl] };
  return { kind: 'clientCredentials' };
}

/**
 * Duty: where the keys of an issuer are found.
 * In → Out: discovery, an address or a file → KeySource.
 * Holds: a discovery document counts only for the issuer that it names; it cannot lead from https to http.
 * Fails: `identity_required`.
 * Source: OpenID Connect Discovery 1.0 §4; RFC 8414 §3.3.
 */
import type { Clock } from '../../core/clock.ts';
import { parseControlUrl } from '../../core/control-url.ts';
import type { AttestationLog } from '../attestor.ts';
import type { KeyLocation } from '../options.ts';
import { Outage } from '../outage.ts';
import { askJson, unproven } from './json-request.ts';
import { KeySet } from './key-set.ts';
import { createKeySource, type KeySource } from './key-source.ts';
import { WatchedFile } from './watched-file.ts';

export interface KeyParts {
  readonly clock: Clock;
  readonly log: AttestationLog;
}

const USES = ['sig'];

/** `bearer`: for issuers whose documents are not public, asked for at each fetch. */
export function keysOf(
  issuer: string,
  location: KeyLocation,
  { clock, log }: KeyParts,
  bearer: () => string | undefined = () => undefined,
): KeySource {
  if (location.kind === 'file') return keysInFile(location.path);
  return createKeySource({
    clock,
    outage: new Outage(log, `keys of ${issuer}`),
    fetch: async () => {
      const { caFile } = location;
      const token = bearer();
      const ask = (url: string): Promise<unknown> =>
        askJson({ url, caFile, ...(token === undefined ? {} : { bearer: token }) });
      return keySetFrom(await ask(location.kind === 'uri' ? location.uri : await discover(issuer, location.at, ask)));
    },
  });
}

async function discover(issuer: string, at: string, ask: (url: string) => Promise<unknown>): Promise<string> {
  const url = `${at.replace(/\/$/, '')}/.well-known/openid-configuration`;
  const document = (await ask(url)) as Readonly<Record<string, unknown>> | null;
  if (document?.['issuer'] !== issuer) throw unproven('the discovery document is of another issuer');
  const uri = document['jwks_uri'];
  const target = typeof uri === 'string' ? parseControlUrl(uri) : null;
  if (target === null || (target.protocol === 'http:' && !url.startsWith('http:')))
    throw unproven('the discovery document names no https address of keys');
  return target.href;
}

function keySetFrom(document: unknown): KeySet {
  const keys = KeySet.from(document, USES);
  if (keys === null || keys.size === 0) throw unproven('the key set holds no usable key');
  return keys;
}

function keysInFile(path: string): KeySource {
  const file = new WatchedFile(path, (text) => keySetFrom(JSON.parse(text)));
  return {
    find: async (kid, algorithm) => {
      const key = file.current()?.find(kid, algorithm) ?? null;
      if (key === null) throw unproven('its issuer has no such key');
      return key;
    },
  };
}

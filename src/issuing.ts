/**
 * Duty: the issuer of workload tokens with its keys, in a file of ours or in Vault transit, and its endpoint.
 * In → Out: the Proxy document → an issuer that mints; who opens it pushes how to end it.
 * Holds: the keys are read here and go no further than the issuer.
 * Not here: tokens and keys themselves (workload/), transit (vault/).
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { errorFacts, type Log } from './admin/log.ts';
import type { AuditStage } from './audit/exchange-record.ts';
import type { ProxyOptions } from './config/configuration.ts';
import type { Clock } from './core/clock.ts';
import type { Closers } from './core/closers.ts';
import { EgressError } from './core/errors.ts';
import { Secret, withoutBlankEnd } from './core/secret.ts';
import { readKeyFile, replaceKeyFile } from './store/key-file.ts';
import { openVaultClient } from './vault/client.ts';
import { createTransitKey } from './vault/transit.ts';
import { createIssuer, type Issuer } from './workload/issuer.ts';
import { type IssuerEndpoint, openIssuerEndpoint } from './workload/issuer-endpoint.ts';
import { type IssuerKeyFile, type IssuerKeys, type KeyChange, openIssuerKeys } from './workload/issuer-keys.ts';
import type { TransitOptions } from './workload/options.ts';
import { rememberTokens } from './workload/token-cache.ts';
import { openTransitKeys } from './workload/transit-keys.ts';

export interface IssuingParts {
  readonly ownUid: number;
  readonly log: Log;
  readonly audit: AuditStage;
  readonly clock: Clock;
}

export interface Issuing {
  readonly issuer: Issuer;
  readonly issuerKeys: IssuerKeys;
  readonly issuerEndpoint: IssuerEndpoint;
}

/** @throws EgressError `configuration_invalid`. */
export async function openIssuing(proxy: ProxyOptions, parts: IssuingParts, closers: Closers): Promise<Issuing> {
  const { transit, tokenLifetimeMs } = proxy.issuer;
  const { clock } = parts;
  const issuerKeys = transit === null ? openOwnKeys(proxy, parts) : await openRemoteKeys(transit, parts, closers);
  closers.push(async () => issuerKeys.close());
  const own = createIssuer({ ...proxy.issuer, keys: issuerKeys, clock });
  const issuerEndpoint = await openIssuerEndpoint(own, proxy.issuer);
  closers.push(() => issuerEndpoint.close());
  if (transit === null) return { issuer: own, issuerKeys, issuerEndpoint };
  const mint = rememberTokens({
    mint: (workload, audience, more) => own.mint(workload, audience, more),
    kid: () => issuerKeys.current.kid,
    clock,
    tokenLifetimeMs,
  });
  const issuer: Issuer = {
    mint,
    locate: (url) => own.locate(url),
    get url() {
      return own.url;
    },
    get documents() {
      return own.documents;
    },
  };
  return { issuer, issuerKeys, issuerEndpoint };
}

function openOwnKeys(proxy: ProxyOptions, { ownUid, log, audit, clock }: IssuingParts): IssuerKeys {
  const path = join(proxy.stateDirectory, 'issuer-keys.json');
  const file: IssuerKeyFile = {
    path,
    read: () => readKeyFile(path, ownUid),
    write: (bytes) => replaceKeyFile(path, bytes, 0o400),
  };
  const { keyLifetimeMs, algorithm } = proxy.issuer;
  return openIssuerKeys({
    file,
    clock,
    keyLifetimeMs,
    algorithm,
    observe: (change) => noteKeyChange(log, audit, change),
  });
}

function noteKeyChange(log: Log, audit: AuditStage, { kind, kid }: KeyChange): void {
  if (kind === 'failed') log.error('the issuer’s next key cannot be written; the present one goes on signing');
  else {
    log.info('the issuer’s keys changed', { event: kind, kid });
    audit.note({ kind: 'issuer-key', event: kind, kid });
  }
}

function openRemoteKeys(
  transit: TransitOptions,
  { ownUid, log, clock }: IssuingParts,
  closers: Closers,
): Promise<IssuerKeys> {
  const { address, namespace, caFile, mount, key, tokenFile } = transit;
  const roots = caFile === null ? {} : { caPem: readFileSync(caFile, 'utf8') };
  const client = openVaultClient({ address, namespace, ...roots });
  closers.push(() => client.close());
  return openTransitKeys({
    key: createTransitKey(client, () => tokenIn(tokenFile, ownUid), { mount, key }),
    clock,
    place: `${mount}/keys/${key}`,
    onOutage: (error) => log.warn('the issuer’s key in transit cannot be read', errorFacts(error)),
  });
}

/** @throws EgressError `configuration_invalid` for a file that others may use, `credential_unavailable` for none. */
function tokenIn(path: string, ownUid: number): Secret {
  const bytes = readKeyFile(path, ownUid);
  if (bytes === null || bytes.length === 0)
    throw new EgressError('credential_unavailable', { detail: 'issuer.transit.tokenFile is not there or empty' });
  const token = Secret.copyOf(withoutBlankEnd(bytes));
  bytes.fill(0);
  return token;
}

/**
 * Duty: what can be said of a policy without a proxy.
 * In → Out: policy files → settings; and a request that nobody sent → what policy says of it.
 * Not here: the running proxy (app.ts).
 */
import type { Configuration } from './config/configuration.ts';
import { loadConfiguration } from './config/load.ts';
import { presetDocument, presetYaml } from './config/preset-document.ts';
import { parseScope } from './config/scope.ts';
import { parseAuthority } from './core/authority.ts';
import { EgressError } from './core/errors.ts';
import { HeaderList } from './core/headers.ts';
import type { RequestHead } from './core/message.ts';
import { createSpiffeId } from './core/spiffe-id.ts';
import { PRESETS } from './injection/presets/all.ts';
import { type Explanation, explain } from './policy/explain.ts';
import type { Workload } from './workload/workload.ts';

/** Which policy, and where what must be kept is kept. */
export interface Place {
  /** Null: no policy, only the defaults of the Proxy document. */
  readonly configPaths: readonly string[] | null;
  readonly stateDirectory: string;
}

/** @throws ConfigurationError */
export async function loadSettings(
  place: Place,
): Promise<{ readonly configuration: Configuration; readonly adminSocket: string }> {
  const configuration = await loadConfiguration({
    paths: place.configPaths ?? [],
    presets: PRESETS,
    defaults: { stateDirectory: place.stateDirectory },
  });
  return { configuration, adminSocket: configuration.proxy.admin.socket };
}

export interface PresetListing {
  readonly name: string;
  readonly hosts: readonly string[];
  /** The way where the workload used no slot. */
  readonly injection: string;
  readonly slots: number;
  readonly minting: number;
  readonly safe: number;
  readonly streams: number;
  readonly tenants: number;
  /** Variables by which its SDKs are told the gateway's address. */
  readonly baseUrls: readonly string[];
  /** As a policy file may have it, under a name that is not taken. */
  readonly document: ReturnType<typeof presetDocument>;
  readonly yaml: string;
}

/** The presets that come with the proxy. */
export const listPresets = (): readonly PresetListing[] =>
  [...PRESETS.values()].map((preset) => {
    const { name, hosts, injection, slots, minting, safe, streams, tenants = [], baseUrls = [] } = preset;
    const document = presetDocument(preset, `my-${name}`);
    return {
      ...{ name, hosts, injection: injection.kind, document, yaml: presetYaml(document) },
      ...{ slots: slots.length, minting: minting.length, safe: safe.length, streams: streams.length },
      tenants: tenants.length,
      baseUrls: baseUrls.map(({ variable }) => variable),
    };
  });

export interface ExplainOptions extends Place {
  readonly workload: string;
  readonly method: string;
  readonly url: string;
  /** `Name: value` each. */
  readonly headers: readonly string[];
  readonly form: string | null;
  /** As JSON, of an instance that asks; null: whatever the policy allows the workload. */
  readonly scope: string | null;
}

export interface RequestExplanation extends Explanation {
  readonly isAllowed: boolean;
}

/** What policy says of a request that nobody sent. @throws ConfigurationError @throws EgressError for a malformed request. */
export async function explainRequest(options: ExplainOptions): Promise<RequestExplanation> {
  const { configuration } = await loadSettings(options);
  const { policy, proxy, identities } = configuration;
  const parts = /^(https?):\/\/([^/?#]+)(\/[^?#]*)?(?:\?([^#]*))?$/.exec(options.url);
  if (parts === null)
    throw new EgressError('configuration_invalid', { detail: `${options.url} is not an http or https URL` });
  if (!identities.some((identity) => identity.workload === options.workload)) {
    throw new EgressError('configuration_invalid', {
      detail: `the policy knows no workload ${options.workload}; known are ${[...new Set(identities.map((each) => each.workload))].join(', ') || 'none'}`,
    });
  }
  const [, scheme = 'https', host = '', path = '/', query = null] = parts as unknown as [
    string,
    'http' | 'https',
    string,
    string | undefined,
    string | null,
  ];
  const authority = parseAuthority(host, scheme === 'https' ? 443 : 80);
  const target = query === null ? path : `${path}?${query}`;
  const headers = new HeaderList();
  headers.append('Host', host);
  for (const header of options.headers)
    headers.append(header.slice(0, header.indexOf(':')).trim(), header.slice(header.indexOf(':') + 1).trim());
  const form = options.form === null ? null : Buffer.from(options.form);
  if (form !== null && !headers.has('content-type'))
    headers.append('Content-Type', 'application/x-www-form-urlencoded');
  const head: RequestHead = {
    method: options.method,
    target,
    form: 'origin',
    authority,
    scheme: null,
    path,
    query,
    version: '1.1',
    headers,
    framing: form === null ? { kind: 'none' } : { kind: 'length', length: form.length },
    expectsContinue: false,
    keepAlive: true,
    ...(headers.get('upgrade')?.toLowerCase() === 'websocket' ? { upgrade: 'websocket' } : {}),
  };
  const workload: Workload = {
    name: options.workload,
    spiffeId: createSpiffeId(proxy.trustDomain, `/${options.workload}`),
    instance: null,
    evidence: [],
    placeholders: { apiKey: '', awsAccessKeyId: '', awsSecretAccessKey: '' },
    ...(options.scope === null ? {} : { scope: parseScope(jsonOf(options.scope)) }),
  };
  const explanation = explain({ revision: policy, workload, authority, scheme, head, form });
  return { ...explanation, isAllowed: explanation.outcome.kind === 'permit' };
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new EgressError('request_malformed', { detail: 'the scope is not JSON', cause });
  }
}

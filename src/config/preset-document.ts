/**
 * Duty: a preset as the document that a policy file would have for it.
 * In → Out: `ProviderPreset`, a name → the document; the document → YAML.
 * Holds: read again it is the same preset.
 * Not here: reading it (compile-preset.ts).
 */
import { stringify } from 'yaml';
import type { BaseUrl, CredentialSlot, ProviderPreset } from '../injection/options.ts';
import { injectionDocument } from './injection-document.ts';
import type { PresetDocument } from './preset-shape.ts';
import { API_VERSION } from './shapes.ts';

type Spec = PresetDocument['spec'];

/** `name`: not that of a built-in one, where it shall be loaded. */
export function presetDocument(preset: ProviderPreset, name: string): PresetDocument {
  const { hosts, slots, tenants, injection, expired, safe, streams, baseUrls } = preset;
  const { statuses, codes, skewed = [] } = expired;
  const spec: Spec = {
    ...(hosts.length === 0 ? {} : { hosts: [...hosts] }),
    ...(slots.length === 0 ? {} : { slots: slots.map(slotOf) }),
    ...(tenants === undefined ? {} : { tenants: [...tenants] }),
    injection: injectionDocument(injection),
    ...(preset.minting.length === 0 ? {} : { minting: mintingOf(preset) }),
    ...(safe.length === 0
      ? {}
      : {
          safe: joined(
            safe.map(({ path, methods, upgrade }) => ({
              about: upgrade === undefined ? { methods: [...methods] } : { methods: [...methods], upgrade },
              path,
            })),
          ),
        }),
    ...(statuses.length === 0
      ? {}
      : {
          expired: {
            statuses: [...statuses],
            ...(codes.length === 0 ? {} : { codes: [...codes] }),
            ...(skewed.length === 0 ? {} : { skewed: [...skewed] }),
          },
        }),
    ...(streams.length === 0
      ? {}
      : { streams: joined(streams.map(({ path, method, as }) => ({ about: { methods: [method], as }, path }))) }),
    ...(baseUrls === undefined ? {} : { baseUrls: baseUrls.map(baseUrlOf) }),
  };
  return { apiVersion: API_VERSION, kind: 'Preset', metadata: { name }, spec };
}

export const presetYaml = (document: PresetDocument): string =>
  stringify(document, { lineWidth: 0, flowCollectionPadding: true });

const baseUrlOf = ({ variable, path, key }: BaseUrl): NonNullable<Spec['baseUrls']>[number] => ({
  variable,
  ...(path === '' ? {} : { path }),
  ...(key === undefined ? {} : { key }),
});

function slotOf(slot: CredentialSlot): NonNullable<Spec['slots']>[number] {
  switch (slot.in) {
    case 'header':
      return slot.scheme === null ? { header: slot.name } : { header: slot.name, scheme: slot.scheme };
    case 'query':
      return { query: slot.name };
    case 'subprotocol':
      return { subprotocol: slot.prefix };
  }
}

function mintingOf({ minting }: ProviderPreset): NonNullable<Spec['minting']> {
  const calls = minting.flatMap(({ call }) => call ?? []);
  const rest = minting.flatMap(({ method, path }) =>
    path === null ? [] : { about: method === null ? {} : { methods: [method] }, path },
  );
  return [...joined(rest), ...(calls.length === 0 ? [] : [{ calls }])];
}

/** Neighbours that differ by their paths alone become one entry; the order stays. */
function joined<T extends object>(
  entries: readonly { readonly about: T; readonly path: string }[],
): (T & { paths: string[] })[] {
  const found: (T & { paths: string[] })[] = [];
  let last = '';
  for (const { about, path } of entries) {
    const key = JSON.stringify(about);
    const open = found[found.length - 1];
    if (open !== undefined && key === last) open.paths.push(path);
    else found.push({ ...about, paths: [path] });
    last = key;
  }
  return found;
}

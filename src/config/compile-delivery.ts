/**
 * Duty: what bindings ask to be delivered, and to whom → `DeliveryOptions`.
 * Holds: a file has one owner, whom a WorkloadIdentity that this proxy grants names by uid or user; somebody may be
 *   a reader of a socket; no two have one path.
 * Not here: the words of a binding (compile-binding.ts); whether the path can be used (delivery/).
 */
import { normalize } from 'node:path';
import type { CredentialSourceOptions } from '../credential/options.ts';
import type { DeliveryOptions } from '../delivery/options.ts';
import type { WorkloadIdentityOptions } from '../workload/options.ts';
import type { ShapedAs } from './check-shape.ts';
import type { CompiledBinding } from './compiled-binding.ts';
import { namesInstance } from './per-instance.ts';
import type { Path, ProblemList } from './problems.ts';

export interface DeliveryContext {
  readonly identities: readonly WorkloadIdentityOptions[];
  readonly sources: readonly CredentialSourceOptions[];
  readonly problems: ProblemList;
}

type Raw = ShapedAs<'CredentialBinding'>['raw'];

/** Of `sun_path`, without the final NUL. */
const MAX_SOCKET_BYTES = 107;

export function compileDeliveries(bindings: readonly CompiledBinding[], context: DeliveryContext): DeliveryOptions[] {
  const byPath = new Map<string, string>();
  return bindings.flatMap(({ source: { raw }, deliveries }) =>
    deliveries.flatMap(({ at, ...asked }) => {
      checkPath(raw, at, asked, byPath, context.problems);
      checkSource(raw, at, asked, context);
      const identities = context.identities.filter(({ workload }) => workload === asked.workload);
      // Another proxy grants it, and delivers it.
      if (identities.length === 0) return [];
      if (asked.way === 'socket') {
        checkReaders(raw, at, asked.workload, identities, context.problems);
        return { ...asked, owner: null };
      }
      const owner = ownerOf(raw, at, asked.workload, identities, context.problems);
      return owner === null ? [] : { ...asked, owner };
    }),
  );
}

function ownerOf(
  raw: Raw,
  at: Path,
  workload: string,
  identities: readonly WorkloadIdentityOptions[],
  problems: ProblemList,
): DeliveryOptions['owner'] | null {
  const owners = new Set(
    identities.flatMap(({ selectors }) => {
      const valuesOf = (key: string): string[] =>
        selectors.filter((each) => each.key === key).flatMap(({ values }) => values);
      const uids = valuesOf('unix:uid');
      return uids.length > 0 ? uids.map((uid) => `uid ${uid}`) : valuesOf('unix:user').map((user) => `user ${user}`);
    }),
  );
  const [only, second] = owners;
  if (only === undefined) {
    const hint = 'add the selector unix:uid or unix:user to it, or use injection: {}';
    problems.add(raw.atKey(at), at, `no WorkloadIdentity of ${workload} says whose file it is`, hint);
    return null;
  }
  if (second !== undefined) {
    const hint = 'a file has one owner; make a workload for each user, or use injection: {}';
    problems.add(raw.atKey(at), at, `${workload} may be ${[...owners].join(' or ')}`, hint);
    return null;
  }
  const value = only.slice(only.indexOf(' ') + 1);
  return only.startsWith('uid ') ? { uid: Number(value) } : { user: value };
}

/** An instance token cannot be shown at a socket. */
function checkReaders(
  raw: Raw,
  at: Path,
  workload: string,
  identities: readonly WorkloadIdentityOptions[],
  problems: ProblemList,
): void {
  if (identities.some(({ selectors }) => selectors.length > 0)) return;
  const hint = 'add selectors such as unix:uid, or use injection: {}';
  problems.add(raw.atKey(at), at, `no WorkloadIdentity of ${workload} says by what a reader is known`, hint);
}

function checkPath(
  raw: Raw,
  at: Path,
  { path, binding, way }: Pick<DeliveryOptions, 'path' | 'binding' | 'way'>,
  byPath: Map<string, string>,
  problems: ProblemList,
): void {
  if (path === null) return;
  const place = [...at, 'path'];
  if (normalize(path) !== path || path.endsWith('/'))
    problems.add(raw.at(place), place, 'the path is not plain', 'write it without ".", "..", "//" and a final slash');
  if (way === 'socket' && Buffer.byteLength(path) > MAX_SOCKET_BYTES)
    problems.add(
      raw.at(place),
      place,
      `the path of a socket has at most ${MAX_SOCKET_BYTES} bytes`,
      'name a shorter one',
    );
  const other = byPath.get(path);
  if (other !== undefined)
    problems.add(raw.at(place), place, `the binding ${other} has the same path`, 'give each binding a file of its own');
  byPath.set(path, binding);
}

function checkSource(
  raw: Raw,
  at: Path,
  { source: name }: Pick<DeliveryOptions, 'source'>,
  { sources, problems }: DeliveryContext,
): void {
  const source = sources.find((each) => each.name === name);
  if (source === undefined || !namesInstance(source)) return;
  const hint = 'use {{workload.id}} in the source, or injection: {}';
  problems.add(raw.atKey(at), at, `the source ${name} names the instance, and a delivery is for every instance`, hint);
}

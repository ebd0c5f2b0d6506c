/**
 * Duty: lists of AWS calls, as rules and presets write them (`s3:GetObject`, `bedrock:*`), compiled for look-up.
 * Holds: names are compared without regard to letter case; AWS itself refuses another case, a rule must not be evaded by it.
 * Not here: which call a request is (aws-call.ts).
 */

interface ActionSet {
  readonly names: Set<string>;
  /** `Get*` → `get`; `*` → empty. */
  readonly prefixes: string[];
}

export type CallSet = ReadonlyMap<string, ActionSet>;

export function compileCalls(calls: readonly string[]): CallSet {
  const set = new Map<string, ActionSet>();
  for (const call of calls) {
    const colon = call.indexOf(':');
    const service = call.slice(0, colon).toLowerCase();
    const action = call.slice(colon + 1).toLowerCase();
    const actions = set.get(service) ?? { names: new Set<string>(), prefixes: [] };
    if (action.endsWith('*')) actions.prefixes.push(action.slice(0, -1));
    else actions.names.add(action);
    set.set(service, actions);
  }
  return set;
}

export function namesService(set: CallSet, services: readonly string[]): boolean {
  return services.some((service) => set.has(service));
}

/** The set has `*` for one of the services: the action does not matter. */
export function hasEveryAction(set: CallSet, services: readonly string[]): boolean {
  return services.some((service) => set.get(service)?.prefixes.includes('') ?? false);
}

export function hasCall(set: CallSet, services: readonly string[], action: string): boolean {
  return services.some((service) => hasAction(set.get(service), action));
}

/** The action is in the set for whatever service. */
export function hasActionAnywhere(set: CallSet, action: string): boolean {
  for (const actions of set.values()) if (hasAction(actions, action)) return true;
  return false;
}

/** The set holds the full name of the call, not a wildcard that covers it. */
export function spellsOut(set: CallSet, services: readonly string[], action: string): boolean {
  return services.some((service) => set.get(service)?.names.has(action.toLowerCase()) ?? false);
}

function hasAction(actions: ActionSet | undefined, action: string): boolean {
  if (actions === undefined) return false;
  const name = action.toLowerCase();
  return actions.names.has(name) || actions.prefixes.some((prefix) => name.startsWith(prefix));
}

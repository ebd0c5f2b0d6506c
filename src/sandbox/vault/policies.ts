/**
 * Duty: ACL policies: reads the part of HCL (or JSON) that policies use, and says what a token may do on a path.
 * In → Out: `path "openai/creds/*" { capabilities = ["read"] }` → rules; policies, path, capability → allowed or not.
 * Holds: nothing matched = denied; `deny` beats all; of several patterns the most specific one counts alone.
 * Source: Vault documentation, "Policies": syntax, `*` at the end, `+` for one segment, priority of patterns.
 * Not here: parameter constraints, templates, control groups; a policy that has them is refused and not half understood.
 */

export type Capability = 'create' | 'read' | 'update' | 'delete' | 'list' | 'patch' | 'sudo' | 'deny';

export interface PolicyRule {
  readonly pattern: string;
  readonly capabilities: ReadonlySet<Capability>;
}

export type ParsedPolicy =
  | { readonly ok: true; readonly rules: readonly PolicyRule[] }
  | { readonly ok: false; readonly error: string };

const CAPABILITIES: ReadonlySet<string> = new Set([
  'create',
  'read',
  'update',
  'delete',
  'list',
  'patch',
  'sudo',
  'deny',
]);
const SHORTHANDS: ReadonlyMap<string, readonly string[]> = new Map([
  ['deny', ['deny']],
  ['read', ['read', 'list']],
  ['write', ['create', 'read', 'update', 'delete', 'list', 'patch']],
  ['sudo', ['create', 'read', 'update', 'delete', 'list', 'patch', 'sudo']],
]);

/** Every login token has it unless its role says otherwise. */
export const DEFAULT_POLICY = `
path "auth/token/lookup-self" { capabilities = ["read"] }
path "auth/token/renew-self" { capabilities = ["update"] }
path "auth/token/revoke-self" { capabilities = ["update"] }
path "sys/capabilities-self" { capabilities = ["update"] }
path "sys/leases/renew" { capabilities = ["update"] }
path "sys/leases/lookup" { capabilities = ["update"] }
path "sys/wrapping/wrap" { capabilities = ["update"] }
path "sys/wrapping/lookup" { capabilities = ["update"] }
path "sys/wrapping/unwrap" { capabilities = ["update"] }
`;

export function parsePolicy(text: string): ParsedPolicy {
  try {
    return { ok: true, rules: text.trimStart().startsWith('{') ? readJson(text) : new HclReader(text).rules() };
  } catch (thrown) {
    return { ok: false, error: thrown instanceof PolicyFault ? thrown.message : 'malformed JSON' };
  }
}

class PolicyFault extends Error {}

function ruleOf(pattern: string, names: readonly unknown[], shorthand: unknown): PolicyRule {
  const all = shorthand === undefined ? names : [...names, ...(SHORTHANDS.get(String(shorthand)) ?? [shorthand])];
  const capabilities = new Set<Capability>();
  for (const name of all) {
    if (typeof name !== 'string' || !CAPABILITIES.has(name)) {
      throw new PolicyFault(`path "${pattern}": invalid capability "${String(name)}"`);
    }
    capabilities.add(name as Capability);
  }
  return { pattern: pattern.startsWith('/') ? pattern.slice(1) : pattern, capabilities };
}

function readJson(text: string): readonly PolicyRule[] {
  const document = JSON.parse(text) as { readonly path?: unknown };
  if (typeof document.path !== 'object' || document.path === null) throw new PolicyFault('no "path" block');
  return Object.entries(document.path).map(([pattern, body]) => {
    const { capabilities = [], policy, ...others } = body as Record<string, unknown>;
    const [other] = Object.keys(others);
    if (other !== undefined) throw new PolicyFault(`path "${pattern}": "${other}" is not supported by the sandbox`);
    return ruleOf(pattern, Array.isArray(capabilities) ? capabilities : [capabilities], policy);
  });
}

const TOKENS = /\s+|#[^\n]*|\/\/[^\n]*|\/\*[\s\S]*?\*\/|"((?:[^"\\\n]|\\.)*)"|([A-Za-z_][A-Za-z0-9_-]*)|([{}[\]=,])/gy;

/** Words and marks only; a quoted text keeps its opening quote to be told from a word. */
class HclReader {
  readonly #tokens: string[] = [];
  #at = 0;

  constructor(text: string) {
    let end = 0;
    for (const match of text.matchAll(TOKENS)) {
      end = match.index + match[0].length;
      if (match[1] !== undefined) this.#tokens.push(`"${match[1]}`);
      else if (match[2] !== undefined || match[3] !== undefined) this.#tokens.push(match[0]);
    }
    if (end !== text.length) throw new PolicyFault(`unexpected character at offset ${end}`);
  }

  rules(): readonly PolicyRule[] {
    const rules: PolicyRule[] = [];
    while (this.#at < this.#tokens.length) {
      const word = this.#take();
      if (word === 'name') {
        this.#expect('=');
        this.#quoted();
        continue;
      }
      if (word !== 'path') throw new PolicyFault(`unexpected "${word}"`);
      rules.push(this.#block(this.#quoted()));
    }
    return rules;
  }

  #block(pattern: string): PolicyRule {
    const names: string[] = [];
    let shorthand: string | undefined;
    this.#expect('{');
    for (let key = this.#take(); key !== '}'; key = this.#take()) {
      this.#expect('=');
      if (key === 'capabilities') names.push(...this.#list());
      else if (key === 'policy') shorthand = this.#quoted();
      else throw new PolicyFault(`path "${pattern}": "${key}" is not supported by the sandbox`);
      if (this.#tokens[this.#at] === ',') this.#at += 1;
    }
    return ruleOf(pattern, names, shorthand);
  }

  #list(): readonly string[] {
    const items: string[] = [];
    this.#expect('[');
    while (this.#tokens[this.#at] !== ']') {
      items.push(this.#quoted());
      if (this.#tokens[this.#at] === ',') this.#at += 1;
    }
    this.#expect(']');
    return items;
  }

  #quoted(): string {
    const token = this.#take();
    if (!token.startsWith('"')) throw new PolicyFault(`expected a quoted text, found "${token}"`);
    return token.slice(1).replace(/\\(.)/g, '$1');
  }

  #expect(mark: string): void {
    const token = this.#take();
    if (token !== mark) throw new PolicyFault(`expected "${mark}", found "${token}"`);
  }

  #take(): string {
    const token = this.#tokens[this.#at];
    if (token === undefined) throw new PolicyFault('unexpected end');
    this.#at += 1;
    return token;
  }
}

/** `rules` of all policies of a token together. */
export function isAllowed(rules: readonly PolicyRule[], path: string, wanted: readonly Capability[]): boolean {
  const granted = capabilitiesOn(rules, path);
  return !granted.has('deny') && wanted.every((capability) => granted.has(capability));
}

export function capabilitiesOn(rules: readonly PolicyRule[], path: string): ReadonlySet<Capability> {
  let best: string | null = null;
  const granted = new Set<Capability>();
  for (const { pattern, capabilities } of rules) {
    if (!matches(pattern, path)) continue;
    if (best !== null && pattern !== best) {
      if (!isMoreSpecific(pattern, best)) continue;
      granted.clear();
    }
    best = pattern;
    for (const capability of capabilities) granted.add(capability);
  }
  return granted;
}

function matches(pattern: string, path: string): boolean {
  const isPrefix = pattern.endsWith('*');
  const fixed = isPrefix ? pattern.slice(0, -1) : pattern;
  if (!fixed.includes('+')) return isPrefix ? path.startsWith(fixed) : path === fixed;
  const wanted = fixed.split('/');
  const given = path.split('/');
  if (isPrefix ? given.length < wanted.length : given.length !== wanted.length) return false;
  return wanted.every((segment, index) => {
    const shown = given[index] ?? '';
    if (segment === '+') return shown !== '';
    return isPrefix && index === wanted.length - 1 ? shown.startsWith(segment) : shown === segment;
  });
}

function isMoreSpecific(one: string, other: string): boolean {
  const wildcardAt = (pattern: string): number => {
    const at = pattern.search(/[+*]/);
    return at === -1 ? Number.POSITIVE_INFINITY : at;
  };
  const plusCount = (pattern: string): number => pattern.split('/').filter((segment) => segment === '+').length;
  const order = [
    wildcardAt(one) - wildcardAt(other) || 0,
    Number(other.endsWith('*')) - Number(one.endsWith('*')),
    plusCount(other) - plusCount(one),
    one.length - other.length,
  ].find((difference) => difference !== 0);
  return order === undefined ? one > other : order > 0;
}

/**
 * Duty: the claims of a verified token as selectors compare them.
 * In → Out: `{ "a": { "b": [1, "x"] } }` → `a.b` → `1`, `x`.
 * Holds: bounded in depth and number; a name that two claims could mean (`"a.b"` beside `a: { b }`) means none.
 */
const MAX_DEPTH = 4;
const MAX_VALUES = 512;

export type Claims = Readonly<Record<string, readonly string[]>>;

export function flattenClaims(payload: object): Claims {
  const found = new Map<string, { readonly path: string; readonly values: string[] }>();
  const ambiguous = new Set<string>();
  let count = 0;
  const add = (path: readonly string[], value: unknown): void => {
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
      if (path.length < MAX_DEPTH) for (const [key, inner] of Object.entries(value)) add([...path, key], inner);
      return;
    }
    const values = (Array.isArray(value) ? value : [value]).flatMap((each) => textOf(each) ?? []);
    count += values.length;
    if (values.length === 0 || count > MAX_VALUES) return;
    const name = path.join('.');
    const exactly = JSON.stringify(path);
    if (found.has(name) && found.get(name)?.path !== exactly) ambiguous.add(name);
    found.set(name, { path: exactly, values });
  };
  add([], payload);
  const claims: Record<string, readonly string[]> = Object.create(null);
  for (const [name, { values }] of found) if (!ambiguous.has(name)) claims[name] = values;
  return claims;
}

function textOf(value: unknown): string | null {
  if (typeof value === 'string') return value;
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : null;
}

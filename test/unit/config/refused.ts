/** Duty: a test for each text that is refused, and what is wrong and right in it. */
import { expect, it } from 'vitest';
import { binding, refusals, source } from './policy-text.ts';

export const injection = (way: string): string => binding(`services: [s], propagation: { injection: ${way} }`);
export const vault = (rest: string): string =>
  source(`{ vault: { address: "https://v:8200", role: r, path: kv/x, ${rest} } }`);

/** What it is → text → `line:column path: what is wrong; what would be right`. */
type Cases = Readonly<Record<string, readonly [string, ...string[]]>>;

export function refused(cases: Cases): void {
  for (const [name, [text, ...expected]] of Object.entries(cases))
    it(name, () => expect(refusals(text)).toEqual(expected));
}

/** Duty: the policy loader: whatever the text, a configuration or a ConfigurationError with a place for each problem. */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { ConfigurationError } from '../../../src/config/configuration-error.ts';
import { parseConfiguration } from '../../../src/config/parse.ts';
import { PRESETS } from '../../../src/injection/presets/all.ts';
import { mutate } from '../mutate.ts';
import type { Random } from '../random.ts';
import { ACCEPTED, finding, REFUSED, type Sample, type Target } from '../target.ts';

const CONFIG = fileURLToPath(new URL('../../../config/', import.meta.url));
const EXAMPLES = readdirSync(CONFIG)
  .filter((name) => name.endsWith('.yaml'))
  .map((name) => readFileSync(CONFIG + name, 'utf8'));
const SNIPPETS = [
  '&a [*a]',
  '*a',
  '!!js/function x',
  '!!binary aGk=',
  '<<: *a',
  '? x',
  '- ',
  '---',
  '...',
  '%YAML 1.1',
  '{}',
  '[]',
  '~',
  '0x1F',
  '1e999',
  '.inf',
  '.nan',
  'yes',
  '2026-01-01',
  '"\\ud800"',
  '__proto__: x',
  'constructor: x',
  'toString: x',
  '\t',
  '|',
  '>',
  '&a',
  '\u2028',
  '# x',
  'kind: Service',
  'kind: Proxy',
  'metadata: {}',
  'spec: null',
  '{ a: { b: ',
  '[[[[[[[[',
  '"',
  "'",
  '-1',
  '""',
  'a: b: c',
  '1h',
  '10MiB',
  '/**',
  '*',
];

const documentsOf = (text: string): string[] => text.split(/^---$/m);

export const policyTarget: Target = {
  name: 'policy',
  weight: 0.15,
  draw(random: Random): Sample {
    const documents = documentsOf(random.pick(EXAMPLES));
    const text = random.chance(50) ? documents.join('---') : random.pick(documents);
    const mutant = random.chance(50)
      ? text
      : mutate(text, random, () => random.pick(documentsOf(random.pick(EXAMPLES))));
    return { text: withSnippets(mutant, random) };
  },
  check({ text }) {
    try {
      parseConfiguration([{ name: 'fuzz.yaml', text }], { presets: PRESETS });
      return ACCEPTED;
    } catch (thrown) {
      if (!(thrown instanceof ConfigurationError)) throw thrown;
      const isPlaced =
        thrown.problems.length > 0 && thrown.problems.every(({ line, column }) => line > 0 && column > 0);
      return isPlaced ? REFUSED : finding('a ConfigurationError without a place');
    }
  },
};

/** In place of a value, behind an indentation, or anywhere. */
function withSnippets(text: string, random: Random): string {
  let result = text;
  for (let rounds = random.below(4); rounds > 0; rounds--) {
    const values = [...result.matchAll(/(?<=: |- )[^\n{[]+/g)];
    const snippet = random.pick(SNIPPETS);
    const place = random.below(result.length + 1);
    const value = values.length > 0 && random.chance(70) ? random.pick(values) : { index: place, 0: '' };
    result = result.slice(0, value.index) + snippet + result.slice(value.index + value[0].length);
  }
  return result;
}

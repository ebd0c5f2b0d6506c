/**
 * Duty: one document against the words of its kind.
 * In → Out: RawDocument → a typed document, or problems in words of the policy file.
 * Holds: the schema library's own sentences reach nobody.
 * Not here: the words themselves (shapes.ts, *-shape.ts); meaning (compile-*.ts).
 */
import { z } from 'zod';
import { type CredentialBindingDocument, credentialBinding } from './binding-shape.ts';
import type { RawDocument } from './documents.ts';
import { familiesOf } from './key-families.ts';
import { suggestion } from './nearest.ts';
import { type PresetDocument, preset } from './preset-shape.ts';
import { type Path, type ProblemList, quoted } from './problems.ts';
import { type ProxyDocument, proxy } from './proxy-shape.ts';
import * as shapes from './shapes.ts';
import { type CredentialSourceDocument, credentialSource } from './source-shape.ts';
import { unbuiltKey, unbuiltValue } from './unbuilt.ts';

export const KINDS = {
  Proxy: proxy,
  Service: shapes.service,
  WorkloadIdentity: shapes.workloadIdentity,
  CredentialSource: credentialSource,
  CredentialBinding: credentialBinding,
  EgressPolicy: shapes.egressPolicy,
  Preset: preset,
};

export type Kind = keyof typeof KINDS;

interface Documents {
  readonly Proxy: ProxyDocument;
  readonly Service: shapes.ServiceDocument;
  readonly WorkloadIdentity: shapes.WorkloadIdentityDocument;
  readonly CredentialSource: CredentialSourceDocument;
  readonly CredentialBinding: CredentialBindingDocument;
  readonly EgressPolicy: shapes.EgressPolicyDocument;
  readonly Preset: PresetDocument;
}

/** A document that its kind's shape fits. */
export type Shaped = { readonly [K in Kind]: ShapedAs<K> }[Kind];

export interface ShapedAs<K extends Kind> {
  readonly kind: K;
  readonly document: Documents[K];
  readonly raw: RawDocument;
}

export const isKind = (text: unknown): text is Kind => typeof text === 'string' && Object.hasOwn(KINDS, text);

/** Null where a problem was reported. */
export function checkShape(raw: RawDocument, problems: ProblemList): Shaped | null {
  const { value } = raw;
  if (!isObject(value)) {
    problems.add(
      raw.at([]),
      [],
      `a document is a mapping, and this is ${describe(value)}`,
      'begin with apiVersion and kind',
    );
    return null;
  }
  const { kind } = value;
  if (!isKind(kind)) {
    const what = kind === undefined ? '"kind" is missing' : `${describe(kind)} is no kind`;
    problems.add(
      raw.at(['kind']),
      ['kind'],
      what,
      suggestion(typeof kind === 'string' ? kind : '', Object.keys(KINDS)),
    );
    return null;
  }
  const shape: z.ZodType = KINDS[kind];
  const parsed = shape.safeParse(value);
  if (parsed.success) return { kind, document: parsed.data, raw } as Shaped;
  for (const issue of parsed.error.issues) new Issue(kind, shape, raw, issue).report(problems);
  return null;
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

type ZodIssue = z.core.$ZodIssue;

class Issue {
  readonly #kind: Kind;
  readonly #raw: RawDocument;
  readonly #issue: ZodIssue;
  readonly #path: Path;
  readonly #value: unknown;
  readonly #schema: z.ZodType | null;

  constructor(kind: Kind, shape: z.ZodType, raw: RawDocument, issue: ZodIssue) {
    this.#kind = kind;
    this.#raw = raw;
    this.#issue = issue;
    this.#path = issue.path.map((part) => (typeof part === 'symbol' ? '' : part));
    this.#value = this.#path.reduce<unknown>((inner, part) => own(inner, part), raw.value);
    this.#schema = schemaAt(shape, this.#path);
  }

  report(problems: ProblemList): void {
    if (this.#issue.code === 'unrecognized_keys') {
      for (const key of this.#issue.keys) this.#reportKey(problems, key);
      return;
    }
    if (this.#value === undefined) {
      const key = String(this.#path[this.#path.length - 1] ?? '');
      problems.add(this.#raw.at(this.#path.slice(0, -1)), this.#path, `"${key}" is missing`, this.#wanted());
      return;
    }
    const unbuilt = unbuiltValue(this.#kind, this.#path, this.#value);
    const message = unbuilt?.message ?? this.#describe(this.#issue);
    problems.add(this.#raw.at(this.#path), this.#path, message, unbuilt?.hint ?? this.#hint(this.#issue));
  }

  #reportKey(problems: ProblemList, key: string): void {
    const path = [...this.#path, key];
    const unbuilt = unbuiltKey(this.#kind, path);
    const known =
      this.#schema instanceof z.ZodObject
        ? [...Object.keys(this.#schema.shape), ...familiesOf(this.#schema).map(({ title }) => title)]
        : [];
    const hint = known.length === 0 ? 'write {}' : suggestion(key, known);
    problems.add(this.#raw.atKey(path), path, unbuilt?.message ?? `unknown key ${quoted(key)}`, unbuilt?.hint ?? hint);
  }

  #describe(issue: ZodIssue): string {
    switch (issue.code) {
      case 'invalid_type':
        return `${describe(this.#value)} is not ${this.#meta().title ?? nounOf(issue.expected)}`;
      case 'invalid_value':
        return `${describe(this.#value)} is not ${issue.values.length === 1 ? quoted(String(issue.values[0])) : `one of ${issue.values.join(', ')}`}`;
      case 'invalid_format':
        return `${describe(this.#value)} is not ${this.#meta().title ?? 'of the right form'}`;
      case 'too_small':
        return issue.origin === 'array' ? 'the list is empty' : `${describe(this.#value)} is too small`;
      case 'too_big':
        return issue.origin === 'array' ? 'the list is too long' : `${describe(this.#value)} is too large`;
      default:
        return `${describe(this.#value)} does not fit here`;
    }
  }

  #hint(issue: ZodIssue): string {
    if (issue.code === 'invalid_value') {
      const known = issue.values.map(String);
      return known.length === 1 || typeof this.#value !== 'string'
        ? `write ${known.join(' or ')}`
        : suggestion(this.#value, known);
    }
    if (issue.code === 'too_small') return issue.origin === 'array' ? 'name at least one' : `at least ${issue.minimum}`;
    if (issue.code === 'too_big') return `at most ${issue.maximum}`;
    if (issue.code === 'invalid_type') return this.#typeHint(issue.expected);
    return this.#wanted();
  }

  #typeHint(expected: string): string {
    const value = this.#value;
    if (isNumeric(expected) && typeof value === 'string' && /^[0-9]{1,15}$/.test(value))
      return `write ${value} without quotes`;
    if (expected === 'string' && (typeof value === 'number' || typeof value === 'boolean'))
      return this.#wanted() || `write "${value}" in quotes`;
    if (expected === 'array' && (typeof value === 'string' || typeof value === 'number'))
      return `write [${String(value).slice(0, 60)}]`;
    if (expected === 'boolean' && typeof value === 'string') return 'write true or false, without quotes';
    return this.#wanted();
  }

  /** What would be right, by example or by the keys that are known. */
  #wanted(): string {
    const { examples, title } = this.#meta();
    const shown = Array.isArray(examples) && examples.length > 0 ? `for example ${examples.join(', ')}` : '';
    if (shown !== '') return typeof title === 'string' && this.#value === undefined ? `${title}, ${shown}` : shown;
    if (this.#schema instanceof z.ZodObject) {
      const known = Object.keys(this.#schema.shape);
      return known.length === 0 ? 'write {}' : `a mapping with ${known.join(', ')}`;
    }
    if (this.#schema instanceof z.ZodLiteral) return `write ${[...this.#schema.values].join(' or ')}`;
    if (this.#schema instanceof z.ZodEnum) return `one of ${this.#schema.options.join(', ')}`;
    return this.#schema instanceof z.ZodArray ? 'a list' : '';
  }

  #meta(): { readonly title?: unknown; readonly examples?: unknown } {
    return this.#schema?.meta() ?? {};
  }
}

function own(value: unknown, key: string | number): unknown {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, key)
    ? (value as Record<string | number, unknown>)[key]
    : undefined;
}

/** The shape of what stands at `path`; the wrapping `optional` is off. */
function schemaAt(shape: z.ZodType, path: Path): z.ZodType | null {
  let schema: z.ZodType | null = bare(shape);
  for (const part of path) {
    if (schema instanceof z.ZodObject) {
      schema = typeof part === 'string' ? memberAt(schema, part) : null;
    } else if (schema instanceof z.ZodArray) schema = schema.element as z.ZodType;
    else if (schema instanceof z.ZodRecord) schema = schema.valueType as z.ZodType;
    else return null;
    schema = schema === null ? null : bare(schema);
  }
  return schema;
}

function memberAt(schema: z.ZodObject, key: string): z.ZodType | null {
  const shapes: Readonly<Record<string, z.ZodType>> = schema.shape;
  if (Object.hasOwn(shapes, key)) return shapes[key] ?? null;
  return familiesOf(schema).find(({ pattern }) => pattern.test(key))?.values ?? null;
}

function bare(schema: z.ZodType): z.ZodType {
  let inner = schema;
  while (inner instanceof z.ZodOptional) inner = inner.unwrap() as z.ZodType;
  return inner;
}

const isNumeric = (expected: string): boolean => expected === 'number' || expected === 'int';

const NOUNS: Readonly<Record<string, string>> = {
  string: 'a text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'a mapping',
  record: 'a mapping',
};

const nounOf = (expected: string): string => NOUNS[expected] ?? expected;

function describe(value: unknown): string {
  if (value === null) return 'nothing';
  if (typeof value === 'string') return `the text ${quoted(value)}`;
  if (Array.isArray(value)) return 'a list';
  return typeof value === 'object' ? 'a mapping' : String(value);
}

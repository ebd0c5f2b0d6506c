/**
 * Duty: YAML text → plain values that know where they stand.
 * In → Out: file → documents; each value, and each key, has its line and column.
 * Holds: YAML 1.2 core schema, unique keys, no tags, plain numbers; work is bounded by size, depth, nodes and aliases;
 *   objects have no prototype, since keys are what somebody typed.
 * Fails: never throws; all goes to the problem list.
 * Source: YAML 1.2.2 §10.3.
 * Not here: what the values mean (check-shape.ts).
 */
import {
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseAllDocuments,
  type Scalar,
} from 'yaml';
import { findInlineSecrets } from './inline-secrets.ts';
import { formatPath, type Path, type Position, type ProblemList, quoted } from './problems.ts';

export interface ConfigurationFile {
  /** As it shall stand in messages; relative paths in the file start at its folder. */
  readonly name: string;
  readonly text: string;
}

/** One document, well-formed or not. */
export interface RawDocument {
  readonly file: string;
  readonly value: unknown;
  /** Nothing was wrong with it so far. */
  readonly isSound: boolean;
  /** Of the value, or of the nearest one around it. */
  at(path: Path): Position;
  /** Of the key, or as `at`. */
  atKey(path: Path): Position;
}

const MAX_FILE_BYTES = 1024 * 1024;
const MAX_DEPTH = 32;
const MAX_NODES = 100_000;
const MAX_ALIASES = 100;
const MAX_SYNTAX_ERRORS = 10;
const PLAIN_NUMBER = /^-?(?:0|[1-9][0-9]{0,14})(?:\.[0-9]{1,9})?$/;

const HINTS: Readonly<Record<string, string>> = {
  TAB_AS_INDENT: 'indent with spaces',
  BLOCK_AS_IMPLICIT_KEY: 'put the inner mapping on its own lines, or quote the text',
  BAD_INDENT: 'check the indentation and the closing bracket',
  NON_STRING_KEY: 'write a plain word as the key',
};

export function readDocuments(file: ConfigurationFile, problems: ProblemList): RawDocument[] {
  const start: Position = { file: file.name, line: 1, column: 1 };
  if (Buffer.byteLength(file.text) > MAX_FILE_BYTES) {
    problems.add(start, [], 'the file is larger than 1 MiB', 'split it; a folder of files is read as one');
    return [];
  }
  const lines = new LineCounter();
  let parsed: Document.Parsed[];
  try {
    const options = { version: '1.2', schema: 'core', uniqueKeys: false, stringKeys: true, merge: false } as const;
    parsed = [...parseAllDocuments(file.text, { ...options, strict: true, prettyErrors: false, lineCounter: lines })];
  } catch {
    problems.add(start, [], 'the file cannot be read as YAML', 'it may be nested too deeply');
    return [];
  }
  const place = (offset: number): Position => {
    const { line, col } = lines.linePos(offset);
    return { file: file.name, line: Math.max(line, 1), column: Math.max(col, 1) };
  };
  for (const { kind, offset } of findInlineSecrets(file.text)) {
    const hint = 'keep it in the credential source and name its path here; if it is real, it is no secret any more';
    problems.add(place(offset), [], `this looks like ${kind}; a secret is never written inline`, hint);
  }
  return parsed.flatMap((document) => {
    if (document.errors.length === 0 && isEmpty(document)) return [];
    return [new Reading(document, place, problems).read()];
  });
}

const isEmpty = ({ contents }: Document.Parsed): boolean =>
  contents === null || (isScalar(contents) && contents.value === null && contents.source === '');

interface Offsets {
  readonly key: number | null;
  readonly value: number;
}

class Reading {
  readonly #document: Document.Parsed;
  readonly #place: (offset: number) => Position;
  readonly #problems: ProblemList;
  readonly #offsets = new Map<string, Offsets>();
  #nodes = 0;
  #aliases = 0;

  constructor(document: Document.Parsed, place: (offset: number) => Position, problems: ProblemList) {
    this.#document = document;
    this.#place = place;
    this.#problems = problems;
  }

  read(): RawDocument {
    const before = this.#problems.count;
    this.#reportSyntax();
    const value = this.#valueOf(this.#document.contents, [], 0);
    return {
      file: this.#place(0).file,
      value,
      isSound: this.#problems.count === before,
      at: (path) => this.#find(path, false),
      atKey: (path) => this.#find(path, true),
    };
  }

  #reportSyntax(): void {
    const { errors, warnings, directives } = this.#document;
    const start = this.#document.range?.[0] ?? 0;
    if (directives?.yaml?.explicit === true && directives.yaml.version !== '1.2') {
      this.#report(
        start,
        [],
        `the document asks for YAML ${directives.yaml.version}`,
        'remove the %YAML line; 1.2 is read',
      );
    }
    for (const { code, message, pos } of [...errors, ...warnings].slice(0, MAX_SYNTAX_ERRORS)) {
      // The tag is reported with its value.
      if (code !== 'TAG_RESOLVE_FAILED')
        this.#report(pos[0], [], `not valid YAML: ${message.slice(0, 200)}`, HINTS[code] ?? '');
    }
  }

  #valueOf(node: Node | null | undefined, path: Path, depth: number): unknown {
    if (node === null || node === undefined) return null;
    const offset = node.range?.[0] ?? 0;
    this.#nodes += 1;
    if (depth > MAX_DEPTH || this.#nodes > MAX_NODES) {
      const what = depth > MAX_DEPTH ? 'nested too deeply' : 'larger than any policy';
      this.#report(offset, path, `the document is ${what}`, '');
      return null;
    }
    if (isAlias(node)) return this.#valueOfAlias(node, path, depth);
    if (node.tag !== undefined)
      this.#report(offset, path, `the tag ${quoted(node.tag)} changes the type of a value`, 'remove it');
    if (isMap(node)) {
      const object = Object.create(null) as Record<string, unknown>;
      for (const { key, value } of node.items) this.#addEntry(object, key, value, path, depth);
      return object;
    }
    if (isSeq(node)) {
      return node.items.map((item, i) => {
        this.#offsets.set(pathKey([...path, i]), { key: null, value: startOf(item) ?? offset });
        return this.#valueOf(item as Node, [...path, i], depth + 1);
      });
    }
    return isScalar(node) ? this.#scalar(node, path, offset) : null;
  }

  #addEntry(object: Record<string, unknown>, key: unknown, value: unknown, path: Path, depth: number): void {
    const offset = startOf(key) ?? 0;
    if (!isScalar(key) || typeof key.value !== 'string') {
      this.#report(offset, path, 'a key is not a plain word', 'write a plain word as the key');
      return;
    }
    const own = [...path, key.value];
    if (key.value === '__proto__' || key.value in object) {
      const isTwice = key.value !== '__proto__';
      const what = isTwice ? 'is there twice' : 'has no meaning here';
      this.#report(offset, own, `the key ${quoted(key.value)} ${what}`, isTwice ? 'keep one of the two' : 'remove it');
      return;
    }
    this.#offsets.set(pathKey(own), { key: offset, value: startOf(value) ?? offset });
    object[key.value] = this.#valueOf(value as Node | null, own, depth + 1);
  }

  #valueOfAlias(node: Node, path: Path, depth: number): unknown {
    const offset = node.range?.[0] ?? 0;
    this.#aliases += 1;
    const target = this.#aliases > MAX_ALIASES || !isAlias(node) ? undefined : node.resolve(this.#document);
    if (target !== undefined) return this.#valueOf(target, path, depth + 1);
    const what = this.#aliases > MAX_ALIASES ? `more than ${MAX_ALIASES} aliases` : 'the alias has no anchor before it';
    this.#report(offset, path, what, 'write the value out');
    return null;
  }

  #scalar(node: Scalar, path: Path, offset: number): unknown {
    const { value, source } = node;
    if (typeof value === 'number' && (source === undefined || !PLAIN_NUMBER.test(source))) {
      this.#report(
        offset,
        path,
        `${quoted(source ?? '')} is an unusual spelling of a number`,
        'write plain digits, or quote it if it is a text',
      );
    }
    return value;
  }

  #report(offset: number, path: Path, message: string, hint: string): void {
    this.#problems.add(this.#place(offset), path, message, hint);
  }

  #find(path: Path, isKey: boolean): Position {
    for (let length = path.length; length > 0; length--) {
      const offsets = this.#offsets.get(pathKey(path.slice(0, length)));
      if (offsets !== undefined)
        return this.#place(isKey && length === path.length ? (offsets.key ?? offsets.value) : offsets.value);
    }
    return this.#place(startOf(this.#document.contents) ?? this.#document.range?.[0] ?? 0);
  }
}

const pathKey = (path: Path): string => formatPath(path);

function startOf(node: unknown): number | undefined {
  return (node as Node | null | undefined)?.range?.[0];
}

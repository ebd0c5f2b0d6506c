/**
 * Duty: what the documents are called, and what a reference in one of them means.
 * In → Out: documents → tables by qualified name; reference → qualified name, or a problem.
 * Holds: a name belongs to its namespace and is referred to from there only; names of broken documents count as declared,
 *   so that one mistake is reported once.
 */

import { isKind, type Kind } from './check-shape.ts';
import type { RawDocument } from './documents.ts';
import { nearest, suggestion } from './nearest.ts';
import { type Path, type ProblemList, quoted } from './problems.ts';

/** Also what a document without a namespace is in. */
const DEFAULT_NAMESPACE = 'default';

export interface Declared {
  readonly kind: Kind;
  readonly namespace: string;
  readonly raw: RawDocument;
}

export function namespaceOf(metadata: { readonly namespace?: string | undefined } | undefined): string {
  return metadata?.namespace ?? DEFAULT_NAMESPACE;
}

/** `namespace/name`, or `name` in the default one. */
export function qualify(namespace: string, name: string): string {
  return namespace === DEFAULT_NAMESPACE ? name : `${namespace}/${name}`;
}

export class Names {
  readonly #problems: ProblemList;
  /** Kind → qualified name → its first declaration. */
  readonly #declared = new Map<Kind, Map<string, Declared>>();
  /** Qualified workload → namespace of its identity. */
  readonly #workloads = new Map<string, string>();
  #isComplete = true;

  constructor(documents: readonly RawDocument[], problems: ProblemList) {
    this.#problems = problems;
    for (const raw of documents) this.#declare(raw);
  }

  /** The qualified name; null, and a problem, where there is none. */
  resolve(raw: RawDocument, path: Path, kind: Kind, namespace: string, name: string): string | null {
    const qualified = qualify(namespace, name);
    const table = this.#declared.get(kind);
    if (table?.has(qualified) === true) return qualified;
    if (this.#isComplete) {
      const elsewhere = [...(table ?? [])].find(([key, declared]) => key === qualify(declared.namespace, name));
      const hint =
        elsewhere === undefined
          ? suggestion(name, this.#namesIn([...(table?.keys() ?? [])], namespace)) || `no ${kind} is declared`
          : `the namespace ${elsewhere[1].namespace} has one, but references stay within their namespace`;
      this.#problems.add(raw.at(path), path, `there is no ${kind} ${quoted(name)}`, hint);
    }
    return null;
  }

  /** As `resolve`, for a `workloadID`. */
  resolveWorkload(raw: RawDocument, path: Path, namespace: string, workload: string): string | null {
    const qualified = qualify(namespace, workload);
    if (this.#workloads.has(qualified)) return qualified;
    if (this.#isComplete) {
      const known = this.#namesIn([...this.#workloads.keys()], namespace);
      const isDocumentName =
        this.#declared.get('WorkloadIdentity')?.has(qualified) === true && nearest(workload, known) === null;
      const hint = isDocumentName
        ? `that is the name of a document; write its spec.workloadID`
        : suggestion(workload, known);
      this.#problems.add(
        raw.at(path),
        path,
        `no WorkloadIdentity has the workloadID ${quoted(workload)}`,
        hint || 'none is declared',
      );
    }
    return null;
  }

  #namesIn(qualified: readonly string[], namespace: string): string[] {
    const prefix = qualify(namespace, '');
    return qualified.filter((each) => each.startsWith(prefix)).map((each) => each.slice(prefix.length));
  }

  #declare(raw: RawDocument): void {
    const { kind, metadata, spec } = (raw.value ?? {}) as {
      kind?: unknown;
      metadata?: Record<string, unknown> | null;
      spec?: Record<string, unknown> | null;
    };
    if (kind === 'Proxy') {
      this.#add('Proxy', '', { kind, namespace: DEFAULT_NAMESPACE, raw }, ['kind']);
      return;
    }
    const name = metadata?.['name'];
    const given = metadata?.['namespace'] ?? DEFAULT_NAMESPACE;
    if (!isKind(kind) || typeof name !== 'string' || typeof given !== 'string') {
      this.#isComplete = false;
      return;
    }
    this.#add(kind, qualify(given, name), { kind, namespace: given, raw }, ['metadata', 'name']);
    if (kind !== 'WorkloadIdentity') return;
    const workload = spec?.['workloadID'];
    if (typeof workload === 'string') this.#addWorkload(raw, given, workload);
    else this.#isComplete = false;
  }

  #add(kind: Kind, qualified: string, declared: Declared, path: Path): void {
    const table = this.#declared.get(kind) ?? new Map<string, Declared>();
    this.#declared.set(kind, table);
    const first = table.get(qualified);
    if (first === undefined) {
      table.set(qualified, declared);
      return;
    }
    const { file, line } = first.raw.at(path);
    const what =
      kind === 'Proxy' ? 'there is a second Proxy document' : `there is a second ${kind} ${quoted(qualified)}`;
    this.#problems.add(
      declared.raw.at(path),
      path,
      what,
      `the first is at ${file}:${line}; ${kind === 'Proxy' ? 'make them one' : 'rename one'}`,
    );
  }

  /** Several identities may lead to one workload, but not from two namespaces: `a/b` in one is `b` of another. */
  #addWorkload(raw: RawDocument, namespace: string, workload: string): void {
    const qualified = qualify(namespace, workload);
    const first = this.#workloads.get(qualified);
    if (first === undefined) this.#workloads.set(qualified, namespace);
    else if (first !== namespace) {
      const path = ['spec', 'workloadID'];
      this.#problems.add(
        raw.at(path),
        path,
        `the workload ${quoted(qualified)} is also one of the namespace ${first}`,
        'choose another workloadID',
      );
    }
  }
}

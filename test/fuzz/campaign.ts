/**
 * Duty: case after case of a seed, and what came of it.
 * In → Out: seed, number → case → verdict; findings, each with a reproducer that was made as short as it gets.
 * Holds: case `n` of a seed is the same whatever ran before it; a finding of one kind is kept once.
 */
import { minimise } from './minimise.ts';
import { Random } from './random.ts';
import { checkSafely, type Sample, type Target, type Verdict } from './target.ts';
import { pickTarget } from './targets/all.ts';
import { compare } from './wire/compare.ts';
import { GO } from './wire/exceptions.ts';
import { asGoTells, type GoReader } from './wire/go-reader.ts';
import { type OwnReading, readOwn } from './wire/own-reader.ts';
import { wireOf } from './wire/wire-target.ts';

export interface Finding {
  readonly seed: number;
  readonly index: number;
  readonly target: string;
  readonly what: string;
  readonly text: string;
  readonly more: unknown;
}

export interface Tally {
  cases: number;
  accepted: number;
  refused: number;
}

export interface Totals {
  readonly byTarget: Record<string, Tally>;
  /** Heads of ours that Go read too. */
  comparedWithGo: number;
  /** Differences that an exception explains. */
  readonly exceptions: Record<string, number>;
  /** In `ms`. */
  slowestCaseMs: number;
}

interface Waiting {
  readonly index: number;
  readonly sample: Sample;
  readonly ours: OwnReading;
}

const GO_BATCH = 400;
/** A promise of ours: no input takes longer. A busy machine may stall that long, so processor time is measured then. */
const SLOW_MS = 1_000;
const SURELY_SLOW_MS = 250;
const MAX_FINDINGS = 20;

export class Campaign {
  readonly findings: Finding[] = [];
  readonly totals: Totals = { byTarget: {}, comparedWithGo: 0, exceptions: {}, slowestCaseMs: 0 };
  readonly #seed: number;
  readonly #targets: readonly Target[];
  readonly #go: GoReader | null;
  readonly #kinds = new Set<string>();
  #waiting: Waiting[] = [];

  constructor(seed: number, targets: readonly Target[], go: GoReader | null) {
    this.#seed = seed;
    this.#targets = targets;
    this.#go = go;
  }

  get isFull(): boolean {
    return this.findings.length >= MAX_FINDINGS;
  }

  async run(index: number): Promise<void> {
    const random = new Random(this.#seed, index);
    const target = pickTarget(this.#targets, random);
    const sample = target.draw(random);
    const start = performance.now();
    const verdict = checkSafely(target, sample, (why) => this.#countException(why));
    const took = performance.now() - start;
    this.totals.slowestCaseMs = Math.max(this.totals.slowestCaseMs, took);
    const isSlow = took > SLOW_MS && isSurelySlow(target, sample);
    this.#count(target.name, verdict);
    if (isSlow)
      await this.#keep(index, target.name, sample, `takes ${Math.round(took)} ms`, () => isSurelySlow(target, sample));
    if (verdict.kind === 'finding') {
      await this.#keep(index, target.name, sample, verdict.what, (shorter) => {
        const again = checkSafely(target, shorter);
        return again.kind === 'finding' && kindOf(again.what) === kindOf(verdict.what);
      });
    } else if (this.#go !== null && target.name === 'wire' && verdict.kind === 'accepted') {
      this.#waiting.push({ index, sample, ours: readOwn({ ...wireOf(sample), cuts: [] }) });
      if (this.#waiting.length >= GO_BATCH) await this.settle();
    }
  }

  /** Hears what Go makes of the cases so far. */
  async settle(): Promise<void> {
    const go = this.#go;
    const waiting = this.#waiting;
    this.#waiting = [];
    if (go === null || waiting.length === 0) return;
    const readings = await go.read(waiting.map(({ sample }) => wireOf(sample)));
    this.totals.comparedWithGo += waiting.length;
    for (const [i, { index, sample, ours }] of waiting.entries()) {
      const theirs = readings[i];
      if (theirs === undefined) continue;
      const wrong = compare(asGoTells(ours), theirs, GO, (why) => this.#countException(`net/http: ${why}`));
      if (wrong === null) continue;
      await this.#keep(index, 'wire', sample, `net/http: ${wrong}`, async (shorter) => {
        const again = await differenceWithGo(go, shorter);
        return again !== null && kindOf(`net/http: ${again}`) === kindOf(`net/http: ${wrong}`);
      });
    }
  }

  #count(name: string, { kind }: Verdict): void {
    this.totals.byTarget[name] ??= { cases: 0, accepted: 0, refused: 0 };
    const tally = this.totals.byTarget[name];
    tally.cases++;
    if (kind !== 'finding') tally[kind]++;
  }

  #countException(why: string): void {
    this.totals.exceptions[why] = (this.totals.exceptions[why] ?? 0) + 1;
  }

  async #keep(
    index: number,
    target: string,
    sample: Sample,
    what: string,
    stillFails: (sample: Sample) => boolean | Promise<boolean>,
  ): Promise<void> {
    const kind = `${target} ${kindOf(what)}`;
    if (this.#kinds.has(kind) || this.isFull) return;
    this.#kinds.add(kind);
    const text = await minimise(sample.text, (shorter) => stillFails({ ...sample, text: shorter }));
    this.findings.push({ seed: this.#seed, index, target, what, text, more: sample.more ?? null });
  }
}

export async function differenceWithGo(go: GoReader, sample: Sample): Promise<string | null> {
  const wire = wireOf(sample);
  const [theirs] = await go.read([wire]);
  return theirs === undefined ? null : compare(asGoTells(readOwn({ ...wire, cuts: [] })), theirs, GO);
}

/** Without what changes from one input to the next. */
function kindOf(what: string): string {
  return what
    .replace(/ours .*/s, '')
    .replace(/"[^"]*"|[0-9]+/g, '…')
    .slice(0, 100);
}

function isSurelySlow(target: Target, sample: Sample): boolean {
  const times = [1, 2, 3].map(() => {
    const before = process.cpuUsage();
    checkSafely(target, sample);
    const { user, system } = process.cpuUsage(before);
    return (user + system) / 1_000;
  });
  return Math.min(...times) > SURELY_SLOW_MS;
}

/**
 * Duty: the long run: `npm run fuzz -- --minutes 20 --seed 7`.
 * Holds: standard output has the result alone (one JSON object with --json); progress goes to a terminal's standard error.
 * Fails: exit code 1 with the path of a reproducer for each finding, a case that never ends included; 2 for a wrong option.
 */
import { randomInt } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';
import { differenceWithGo, type Finding } from './campaign.ts';
import { Random } from './random.ts';
import { checkSafely } from './target.ts';
import { pickTarget, TARGETS } from './targets/all.ts';
import { GoReader } from './wire/go-reader.ts';
import type { WorkerOrder, WorkerReport } from './worker.ts';

const HELP = `Throws damaged input at our parsers and holds what they accept against other parsers.

  npm run fuzz -- [options]

  --minutes N      how long (default 1)
  --cases N        stop after N cases
  --seed N         repeat a run; without it a seed is drawn, and printed
  --target A,B     some of: ${TARGETS.map(({ name }) => name).join(', ')} (default all)
  --no-go          leave Go's net/http out; it is left out by itself where go is not installed
  --out FOLDER     where reproducers go (default a new folder under the system's temporary one)
  --replay FILE    check one reproducer again
  --json           the result as one JSON object
  --help           this text
`;
/** Processor time, since a busy machine may well stop us for ten seconds. */
const HANG_CPU_MS = 10_000;

interface Options {
  readonly seed: number;
  readonly minutes: number;
  readonly cases: number;
  readonly targets: readonly string[];
  readonly usesGo: boolean;
  readonly out: string | null;
  readonly isJson: boolean;
}

class WrongOption extends Error {}

function numberOf(name: string, text: string | undefined, otherwise: number): number {
  if (text === undefined) return otherwise;
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value) || value < 0) {
    throw new WrongOption(`--${name} takes a number from 0 up, not "${text}"`);
  }
  return value;
}

function parseOptions(values: Readonly<Record<string, string | boolean | undefined>>): Options {
  const text = (name: string): string | undefined => (typeof values[name] === 'string' ? values[name] : undefined);
  const known = TARGETS.map(({ name }) => name);
  const targets = text('target')?.split(',') ?? known;
  const stranger = targets.find((name) => !known.includes(name));
  if (stranger !== undefined) throw new WrongOption(`--target "${stranger}" is none of ${known.join(', ')}`);
  const seed = numberOf('seed', text('seed'), randomInt(0x7fff_ffff));
  if (!Number.isInteger(seed) || seed > 0xffff_ffff) throw new WrongOption('--seed takes a whole number below 2^32');
  const cases = numberOf('cases', text('cases'), Number.POSITIVE_INFINITY);
  return {
    seed,
    minutes: numberOf('minutes', text('minutes'), cases === Number.POSITIVE_INFINITY ? 1 : 24 * 60),
    cases,
    targets,
    usesGo: values['no-go'] !== true,
    out: text('out') ?? null,
    isJson: values['json'] === true,
  };
}

/** Runs the worker to its end, or ends it where one case does not end. */
function drive(options: Options, onReport: (report: WorkerReport) => void): Promise<Finding | null> {
  const running = new SharedArrayBuffer(Float64Array.BYTES_PER_ELEMENT);
  const { seed, targets, usesGo, cases } = options;
  const untilMs = Date.now() + options.minutes * 60_000;
  const workerData: WorkerOrder = { seed, targets, usesGo, cases, untilMs, running };
  const worker = new Worker(new URL('./worker.ts', import.meta.url), { workerData });
  return new Promise((resolve, reject) => {
    let stuck: Finding | null = null;
    let last = -1;
    let since = process.cpuUsage();
    const watch = setInterval(() => {
      const index = new Float64Array(running)[0] ?? 0;
      const { user, system } = process.cpuUsage(since);
      if (index !== last) {
        last = index;
        since = process.cpuUsage();
      } else if (index > 0 && user + system > HANG_CPU_MS * 1_000) {
        stuck = hung(options, index);
        void worker.terminate();
      }
    }, 500);
    worker.on('message', onReport);
    worker.on('error', reject);
    worker.on('exit', () => {
      clearInterval(watch);
      resolve(stuck);
    });
  });
}

function hung({ seed, targets }: Options, index: number): Finding {
  const random = new Random(seed, index);
  const target = pickTarget(
    TARGETS.filter(({ name }) => targets.includes(name)),
    random,
  );
  const { text, more = null } = target.draw(random);
  return { seed, index, target: target.name, what: `does not end within ${HANG_CPU_MS / 1000} s`, text, more };
}

/** Writes each finding once, as soon as it is known, and gives the paths of all. */
function reproducerWriter(out: string | null): (findings: readonly Finding[]) => string[] {
  const paths: string[] = [];
  let folder = out;
  return (findings) => {
    for (const finding of findings.slice(paths.length)) {
      folder ??= mkdtempSync(join(tmpdir(), 'countersign-fuzz-'));
      mkdirSync(folder, { recursive: true });
      const path = join(folder, `${finding.target}-${finding.seed}-${finding.index}.json`);
      writeFileSync(path, `${JSON.stringify(finding, null, 2)}\n`);
      paths.push(path);
    }
    return paths;
  };
}

async function fuzz(options: Options): Promise<number> {
  const startedAt = new Date();
  const write = reproducerWriter(options.out);
  let report: WorkerReport | null = null;
  const stuck = await drive(options, (latest) => {
    report = latest;
    write(latest.findings);
    if (process.stderr.isTTY) process.stderr.write(`\r${latest.cases} cases, ${latest.findings.length} findings `);
  });
  if (process.stderr.isTTY) process.stderr.write('\n');
  const { cases, totals, findings, withoutGo } = report as unknown as WorkerReport;
  const all = stuck === null ? findings : [...findings, stuck];
  const reproducers = write(all);
  const parsers = ['llhttp (Node)', 'http-parser-js', ...(withoutGo === null ? ['net/http (Go)'] : [])];
  const seconds = Math.round((Date.now() - startedAt.getTime()) / 1000);
  const result = { date: startedAt.toISOString(), seed: options.seed, seconds, cases, parsers, withoutGo, ...totals };
  if (options.isJson) process.stdout.write(`${JSON.stringify({ ...result, findings: all, reproducers })}\n`);
  else process.stdout.write(textOf(result, all, reproducers));
  return all.length === 0 ? 0 : 1;
}

type Result = Omit<WorkerReport, 'findings' | 'totals' | 'isLast'> &
  WorkerReport['totals'] & {
    readonly date: string;
    readonly seed: number;
    readonly seconds: number;
    readonly parsers: readonly string[];
  };

function textOf(result: Result, findings: readonly Finding[], reproducers: readonly string[]): string {
  const lines = [
    `${result.date}  seed ${result.seed}  ${result.cases} cases in ${result.seconds} s, slowest ${Math.round(result.slowestCaseMs)} ms`,
    `parsers: ${result.parsers.join(', ')}${result.withoutGo === null ? '' : ` (not Go: ${result.withoutGo})`}`,
    ...Object.entries(result.byTarget).map(
      ([name, { cases, accepted, refused }]) =>
        `  ${name.padEnd(12)} ${cases} cases: ${accepted} accepted, ${refused} refused`,
    ),
    `  net/http read ${result.comparedWithGo} of the accepted`,
    ...Object.entries(result.exceptions).map(([why, count]) => `  excepted ${count} times: ${why}`),
    ...findings.map(
      ({ target, what }, i) => `FINDING ${target}: ${what}\n  npm run fuzz -- --replay ${reproducers[i]}`,
    ),
    `findings: ${findings.length}`,
  ];
  return `${lines.join('\n')}\n`;
}

async function replay(path: string): Promise<number> {
  const { target: name, text, more } = JSON.parse(readFileSync(path, 'utf8')) as Finding;
  const target = TARGETS.find((each) => each.name === name);
  if (target === undefined) throw new WrongOption(`${path} names the target "${name}", which there is not`);
  const verdict = checkSafely(target, { text, more });
  let what = verdict.kind === 'finding' ? verdict.what : null;
  const go = name === 'wire' && what === null ? GoReader.open() : '';
  if (typeof go !== 'string') {
    const wrong = await differenceWithGo(go, { text, more });
    what = wrong === null ? null : `net/http: ${wrong}`;
    go.close();
  }
  process.stdout.write(`${JSON.stringify(text)}\n${what ?? `${verdict.kind}; nothing is wrong with it any more`}\n`);
  return what === null ? 0 : 1;
}

async function main(): Promise<number> {
  try {
    const string = { type: 'string' } as const;
    const boolean = { type: 'boolean' } as const;
    const { values } = parseArgs({
      options: {
        minutes: string,
        cases: string,
        seed: string,
        target: string,
        out: string,
        replay: string,
        'no-go': boolean,
        json: boolean,
        help: boolean,
      },
    });
    if (values.help === true) {
      process.stdout.write(HELP);
      return 0;
    }
    return values.replay === undefined ? await fuzz(parseOptions(values)) : await replay(values.replay);
  } catch (thrown) {
    const isWrong =
      thrown instanceof WrongOption ||
      (thrown instanceof TypeError && 'code' in thrown) ||
      (thrown instanceof Error && 'errno' in thrown);
    if (!isWrong) throw thrown;
    process.stderr.write(`fuzz: ${(thrown as Error).message}\nnpm run fuzz -- --help lists the options\n`);
    return 2;
  }
}

process.exitCode = await main();

/** Duty: holds the house to its import law, its sizes (test/ too) and its bans. A new room is added to ROOMS, with its reason in README. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const SRC = fileURLToPath(new URL('../src', import.meta.url));
const TEST = fileURLToPath(new URL('.', import.meta.url));

/** Room → rooms it may import values from; `*` is anything. Types may come from anywhere upstream of it. */
const ROOMS: Readonly<Record<string, readonly string[]>> = {
  'launch.js': ['main.ts'],
  'main.ts': ['cli'],
  cli: ['app.ts', 'worker.ts', 'client', 'config', 'core', 'doctor', 'jail', 'sidecar'],
  doctor: [],
  jail: ['core'],
  sidecar: ['core'],
  client: ['admin'],
  'app.ts': ['*'],
  'assembly.ts': ['*'],
  'front.ts': ['*'],
  'crew-front.ts': ['*'],
  'deliver.ts': ['*'],
  'policy-files.ts': ['*'],
  'issuing.ts': ['*'],
  'ground.ts': ['*'],
  'instance-desk.ts': ['*'],
  'worker.ts': ['*'],
  'system-clock.ts': [],
  'connection.ts': ['core', 'rescue.ts'],
  'exchange.ts': ['core', 'replay.ts', 'rescue.ts'],
  'replay.ts': ['core'],
  'rescue.ts': ['core'],
  core: [],
  config: ['core'],
  http1: ['core'],
  http2: ['core'],
  websocket: ['core'],
  listener: ['core'],
  tunnel: ['core', 'http1', 'http2', 'websocket'],
  workload: ['core'],
  policy: ['core'],
  credential: ['core', 'vault'],
  delivery: ['core'],
  vault: ['core', 'http1'],
  injection: ['core'],
  upstream: ['core', 'http1', 'http2', 'websocket'],
  response: ['core', 'websocket'],
  audit: ['core'],
  store: ['core'],
  admin: ['core'],
  workers: ['core'],
  sandbox: ['core', 'http1', 'http2', 'websocket'],
};

/** Hops in the order of the way; a type flows from an earlier one to a later one. options.ts files are words for all. */
const ORDER = [
  'core',
  'http1',
  'http2',
  'websocket',
  'listener',
  'tunnel',
  'workload',
  'policy',
  'vault',
  'credential',
  'delivery',
  'injection',
  'upstream',
  'response',
  'audit',
];

const SOCKET_ROOMS = [
  'listener',
  'tunnel',
  'upstream',
  'vault',
  'credential/sources',
  'delivery',
  'workload',
  'audit/sinks',
  'store',
  'admin',
  'workers',
  'sandbox',
  'doctor',
  'jail',
];
const PURE_ROOMS = ['core', 'http1', 'http2', 'policy', 'sidecar'];
const REVEAL_ROOMS = [
  'core/secret.ts',
  'injection',
  'vault',
  'credential/sources',
  'delivery/content.ts',
  'workers/credential-body.ts',
];
const MAX_LINES = 400;

interface Import {
  readonly from: string;
  readonly specifier: string;
  readonly isType: boolean;
}

const files = listFiles(SRC).map((path) => relative(SRC, path));
const texts = new Map(files.map((file) => [file, readFileSync(join(SRC, file), 'utf8')]));
const imports = files.flatMap((file) => importsOf(file, texts.get(file) ?? ''));

function listFiles(directory: string): string[] {
  return readdirSync(directory, { withFileTypes: true }).flatMap((entry) => {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) return listFiles(path);
    return /\.(?:ts|js)$/.test(entry.name) ? [path] : [];
  });
}

function importsOf(file: string, text: string): Import[] {
  const found: Import[] = [];
  for (const match of text.matchAll(/^(?:import|export)\s+(type\s+)?([^'";]*?)\s*from\s+'([^']+)'/gms)) {
    const names = match[2] ?? '';
    const onlyTypes =
      match[1] !== undefined ||
      (/^\{/.test(names) &&
        names
          .replace(/[{}\s]/g, '')
          .split(',')
          .filter(Boolean)
          .every((name) => name.startsWith('type')));
    found.push({ from: file, specifier: match[3] ?? '', isType: onlyTypes });
  }
  for (const match of text.matchAll(/(?:^|[^.\w])import\(\s*'([^']+)'/g))
    found.push({ from: file, specifier: match[1] ?? '', isType: false });
  for (const match of text.matchAll(/^import\s+'([^']+)'/gm))
    found.push({ from: file, specifier: match[1] ?? '', isType: false });
  return found;
}

const roomOf = (file: string): string => file.split('/')[0] ?? '';
const targetOf = ({ from, specifier }: Import): string => relative(SRC, resolve(SRC, dirname(from), specifier));
const isIn = (file: string, rooms: readonly string[]): boolean =>
  rooms.some((room) => file === room || file.startsWith(`${room}/`));
/** Code without comments and string contents: what is banned is the use, not the word. */
const codeOf = (file: string): string =>
  (texts.get(file) ?? '').replace(/\/\*[\s\S]*?\*\//g, '').replace(/\/\/[^\n]*/g, '');

describe('the import law', () => {
  it('knows every room', () => {
    expect(files.map(roomOf).filter((room) => !(room in ROOMS))).toEqual([]);
  });

  it('lets values pass only where the table allows', () => {
    const broken = imports
      .filter((each) => each.specifier.startsWith('.') && !each.isType && !each.specifier.endsWith('.json'))
      .filter((each) => {
        const target = targetOf(each);
        const from = roomOf(each.from);
        const to = roomOf(target);
        const allowed = ROOMS[from] ?? [];
        const isOptionsForConfig = from === 'config' && target.endsWith('/options.ts');
        return from !== to && !allowed.includes('*') && !allowed.includes(to) && !isOptionsForConfig;
      })
      .map((each) => `${each.from} imports ${each.specifier}`);
    expect(broken).toEqual([]);
  });

  it('lets types flow downstream only', () => {
    const broken = imports
      .filter((each) => each.specifier.startsWith('.') && each.isType)
      .filter((each) => {
        const target = targetOf(each);
        const from = ORDER.indexOf(roomOf(each.from));
        const to = ORDER.indexOf(roomOf(target));
        return from !== -1 && to > from && !target.endsWith('/options.ts');
      })
      .map((each) => `${each.from} imports ${each.specifier}`);
    expect(broken).toEqual([]);
  });

  it('keeps I/O out of core, http1, http2 and policy', () => {
    const broken = imports
      .filter(
        (each) =>
          isIn(each.from, PURE_ROOMS) &&
          !each.isType &&
          /^node:(?:fs|net|tls|http|https|dns|child_process|crypto)/.test(each.specifier),
      )
      .map((each) => `${each.from} imports ${each.specifier}`);
    expect(broken).toEqual([]);
  });

  it('keeps sockets in the rooms that own them', () => {
    const broken = imports
      .filter(
        (each) =>
          !each.isType &&
          /^(?:node:(?:net|tls|http|https|dns)|undici)/.test(each.specifier) &&
          !isIn(each.from, SOCKET_ROOMS),
      )
      .filter((each) => each.from !== 'ground.ts') // getCACertificates, no socket
      .map((each) => `${each.from} imports ${each.specifier}`);
    expect(broken).toEqual([]);
  });

  it('starts processes in cli, jail, workers and one source alone', () => {
    const broken = imports
      .filter((each) => !each.isType && /^node:(?:child_process|cluster|worker_threads)/.test(each.specifier))
      .filter((each) => !isIn(each.from, ['cli', 'jail', 'workers', 'credential/sources/program.ts']))
      .map((each) => `${each.from} imports ${each.specifier}`);
    expect(broken).toEqual([]);
  });

  it('has no import cycles among values', () => {
    const edges = new Map<string, string[]>();
    for (const each of imports) {
      if (each.isType || !each.specifier.startsWith('.')) continue;
      edges.set(each.from, [...(edges.get(each.from) ?? []), targetOf(each)]);
    }
    const done = new Set<string>();
    const path: string[] = [];
    const cycles: string[] = [];
    const visit = (file: string): void => {
      if (path.includes(file)) cycles.push([...path.slice(path.indexOf(file)), file].join(' → '));
      if (done.has(file) || path.includes(file)) return;
      path.push(file);
      for (const next of edges.get(file) ?? []) visit(next);
      path.pop();
      done.add(file);
    };
    for (const file of files) visit(file);
    expect(cycles).toEqual([]);
  });
});

describe('the bans', () => {
  const offenders = (pattern: RegExp, allowed: readonly string[]): string[] =>
    files.filter((file) => !isIn(file, allowed) && pattern.test(codeOf(file)));

  it('has the system clock in one file', () => {
    expect(
      offenders(/\bDate\.now\(|\bperformance\.now\(|\bnew Date\(\)/, ['system-clock.ts', 'sandbox/story-agent.ts']),
    ).toEqual([]);
  });

  it('has `process` in main.ts alone', () => {
    // `process` as a name of a local (facts about a process) is fine; its members are not.
    expect(
      offenders(
        /\bprocess\.(?:env|argv|exit|exitCode|on|off|once|stdout|stderr|stdin|cwd|pid|kill|umask|versions|getuid|hrtime|memoryUsage|nextTick|platform)\b/,
        // The client is a library in other people's programs; inside.ts is a program of its own.
        ['main.ts', 'launch.js', 'client/client.ts', 'sandbox/story-agent.ts', 'jail/inside/inside.ts'],
      ),
    ).toEqual([]);
  });

  it('has no console, no Math.random and no default exports', () => {
    expect(offenders(/\bconsole\./, [])).toEqual([]);
    expect(offenders(/\bMath\.random\b/, [])).toEqual([]);
    expect(offenders(/^export default\b/m, [])).toEqual([]);
  });

  it('reveals secrets only where they are obtained or injected', () => {
    expect(offenders(/\.reveal\(/, REVEAL_ROOMS)).toEqual([]);
  });

  it('makes permits in policy/ alone', () => {
    expect(offenders(/\bPERMIT_KEY\b/, ['policy'])).toEqual([]);
  });

  it('has no barrels and no rooms of leftovers', () => {
    expect(
      files.filter((file) => /(?:^|\/)index\.ts$|(?:^|\/)(?:utils?|helpers?|common|misc)(?:\/|\.ts$)/.test(file)),
    ).toEqual([]);
  });
});

describe('the sizes', () => {
  it(`has no file over ${MAX_LINES} lines`, () => {
    const long = [...listFiles(SRC), ...listFiles(TEST)]
      .map((path) => ({
        file: relative(dirname(SRC), path),
        lines: readFileSync(path, 'utf8').split('\n').length - 1,
      }))
      .filter(({ lines }) => lines > MAX_LINES);
    expect(long).toEqual([]);
  });

  it('opens every file of a room with its card', () => {
    const bare = files.filter(
      (file) =>
        !/^(?:#![^\n]*\n)?(?:import [^;]*;\n)*\s*(?:\/\*\*)/.test((texts.get(file) ?? '').slice(0, 2_000)) &&
        (texts.get(file) ?? '').split('\n').length > 40,
    );
    expect(bare).toEqual([]);
  });
});

/**
 * Duty: whether a raw path falls under a path pattern, and whether an upstream could read it differently from us.
 * In → Out: raw path → `PathReading`; pattern and reading → yes, no, or ambiguous.
 * Holds: an allow rule is matched on the exact bytes that are forwarded; a deny rule and a minting call are matched on every
 *   spelling that some server would take for the same path (letter case, escapes, final slash, format suffix).
 * Fails: never throws; a spelling nobody could be sure of is an `ambiguity`, and the caller refuses it.
 * Source: RFC 3986 §3.3, §6.2.2.
 * Not here: what the ambiguity leads to (judge.ts); AWS calls (aws-call.ts).
 */
import type { PathPattern } from './options.ts';

export interface PathReading {
  /** Why two servers could read the path differently; null where they could not. */
  readonly ambiguity: string | null;
  /** Segments as received. */
  readonly raw: readonly string[];
  /** Lower case, unreserved characters and `%2f` decoded, no empty last segment. */
  readonly folded: readonly string[];
  /** As `folded`, without `.json` and the like at its end; null where it has no such suffix. */
  readonly bare: readonly string[] | null;
  /** The path has a `%2f`: one raw segment may be several folded ones. */
  readonly hasEscapedSlash: boolean;
}

export interface CompiledPattern {
  readonly text: string;
  readonly exact: readonly string[];
  readonly folded: readonly string[];
  readonly rest: boolean;
}

export type PathVerdict = 'yes' | 'no' | 'ambiguous';

/** Nothing in it can be spelled in two ways, apart from `//`. */
const PLAIN = /^\/[A-Za-z0-9_~!$&'()*+,=:@/-]*$/;
const PRINTABLE = /^[\x21-\x7e]*$/;
const ESCAPED_SLASH = /%2f/i;
const ESCAPE = /%([0-9A-Fa-f]{2})/g;
const UNRESERVED = /^[A-Za-z0-9._~-]$/;
const FORMAT_SUFFIX = /\.(?:json|xml|html?|txt|csv|atom|rss|js|ya?ml)$/;

/** Escapes that stand for something a server may act on after decoding, by their first byte. */
const RISKY_BYTES: ReadonlyMap<number, string> = new Map([
  [0x23, 'an escaped "#"'],
  [0x3b, 'an escaped ";"'],
  [0x3f, 'an escaped "?"'],
  [0x5c, 'an escaped backslash'],
  [0x7f, 'an escaped control character'],
]);

/** Reads the path of an origin- or absolute-form target. */
export function readPath(path: string): PathReading {
  if (PLAIN.test(path)) {
    const raw = path.slice(1).split('/');
    const folded = withoutFinalEmpty(path.slice(1).toLowerCase().split('/'));
    return { ambiguity: emptySegment(folded), raw, folded, bare: null, hasEscapedSlash: false };
  }
  const raw = path.slice(1).split('/');
  const ambiguity = doubtfulSpelling(path);
  if (ambiguity !== null) return { ambiguity, raw, folded: [], bare: null, hasEscapedSlash: false };
  const folded = withoutFinalEmpty(foldText(path.slice(1)).split('/'));
  return {
    ambiguity: emptySegment(folded) ?? dotSegment(folded),
    raw,
    folded,
    bare: withoutFormat(folded),
    hasEscapedSlash: ESCAPED_SLASH.test(path),
  };
}

function doubtfulSpelling(path: string): string | null {
  if (!path.startsWith('/')) return 'a path that does not begin with "/"';
  if (!PRINTABLE.test(path)) return 'a space, a control or a non-ASCII character';
  if (path.includes('\\')) return 'a backslash';
  if (path.includes(';')) return 'a ";"';
  for (let at = path.indexOf('%'); at !== -1; at = path.indexOf('%', at + 1)) {
    const risk = doubtfulEscape(path, at);
    if (risk !== null) return risk;
  }
  // `%252f` is `%2f` to whoever decodes twice; so is `%25%32f`.
  const isTwice =
    path.includes('%25') && /%(?:[0-9A-Fa-f]{2}|u)/.test(path.replace(ESCAPE, (_, digits: string) => byteText(digits)));
  return isTwice ? 'a percent escape that is escaped again' : null;
}

function doubtfulEscape(path: string, at: number): string | null {
  const byte = escapedByte(path, at);
  if (byte === -1) return 'a malformed percent escape';
  if (byte < 0x20) return 'an escaped control character';
  if (byte >= 0xc0 && isOverlong(byte, escapedByte(path, at + 3))) return 'an escaped byte sequence that is not UTF-8';
  return RISKY_BYTES.get(byte) ?? null;
}

/** The byte that the escape at `at` stands for; -1 where there is no well-formed escape. */
function escapedByte(path: string, at: number): number {
  const digits = path.slice(at, at + 3);
  return /^%[0-9A-Fa-f]{2}$/.test(digits) ? Number.parseInt(digits.slice(1), 16) : -1;
}

/** `%c0%af` was once a slash to decoders that did not check for the shortest form. */
function isOverlong(lead: number, next: number): boolean {
  if (lead === 0xc0 || lead === 0xc1 || lead > 0xf4) return true;
  if (lead === 0xe0) return next < 0xa0;
  return lead === 0xf0 && next < 0x90;
}

function byteText(digits: string): string {
  return String.fromCharCode(Number.parseInt(digits, 16));
}

function foldText(text: string): string {
  return text
    .replace(ESCAPE, (written, digits: string) => {
      const decoded = byteText(digits);
      return UNRESERVED.test(decoded) || decoded === '/' ? decoded : written;
    })
    .toLowerCase();
}

function withoutFinalEmpty(segments: string[]): string[] {
  if (segments.length > 1 && segments[segments.length - 1] === '') segments.pop();
  return segments;
}

/** Frameworks route `/a.json`, some `/a/.json`, as `/a`. */
function withoutFormat(folded: readonly string[]): string[] | null {
  const bare = [...folded];
  for (let last = bare.pop(); last !== undefined; last = bare.pop()) {
    const stem = last.replace(FORMAT_SUFFIX, '');
    if (stem === last) {
      bare.push(last);
      break;
    }
    if (stem !== '') bare.push(stem);
  }
  return bare.length === folded.length && bare[bare.length - 1] === folded[folded.length - 1] ? null : bare;
}

function emptySegment(folded: readonly string[]): string | null {
  return folded.length > 1 && folded.includes('') ? 'an empty segment ("//")' : null;
}

function dotSegment(folded: readonly string[]): string | null {
  return folded.includes('.') || folded.includes('..') ? 'a dot segment' : null;
}

export function compilePattern(pattern: PathPattern): CompiledPattern {
  const exact = pattern.segments.length === 0 && !pattern.rest ? [''] : pattern.segments;
  const folded = withoutFinalEmpty(exact.flatMap((segment) => foldText(segment).split('/')));
  return { text: pattern.text, exact, folded: pattern.rest && folded[0] === '' ? [] : folded, rest: pattern.rest };
}

/** Null where one of the patterns is `/**`: the path is no condition then, however it is spelled. */
export function compilePaths(patterns: readonly PathPattern[] | null): readonly CompiledPattern[] | null {
  if (patterns === null || patterns.some(({ segments, rest }) => rest && segments.length === 0)) return null;
  return patterns.map(compilePattern);
}

/** `/v1/files/**` as a pattern: literals, `*` for one segment, a final `**` for any rest, also none. */
export function patternOf(text: string): CompiledPattern {
  const segments = text.slice(1).split('/');
  const rest = segments[segments.length - 1] === '**';
  return compilePattern({ text, segments: rest ? segments.slice(0, -1) : segments, rest });
}

/** The exact bytes match, each segment with a `%2f` against a literal that holds it too. */
export function matchesExactly(pattern: CompiledPattern, reading: PathReading): boolean {
  return matchesRaw(pattern, reading.raw) && (!reading.hasEscapedSlash || literalSlashes(pattern, reading.raw));
}

function matchesRaw({ exact, rest }: CompiledPattern, raw: readonly string[]): boolean {
  if (rest ? raw.length < exact.length : raw.length !== exact.length) return false;
  for (let i = 0; i < exact.length; i++) {
    if (exact[i] === '*' ? raw[i] === '' : exact[i] !== raw[i]) return false;
  }
  return true;
}

function literalSlashes({ exact }: CompiledPattern, raw: readonly string[]): boolean {
  return raw.every((segment, i) => !ESCAPED_SLASH.test(segment) || exact[i] === segment);
}

/** Some server could take the path for one under the pattern. Meaningless where the reading is ambiguous. */
export function matchesAnySpelling(pattern: CompiledPattern, reading: PathReading): boolean {
  const { folded, bare, hasEscapedSlash } = reading;
  const matches = hasEscapedSlash ? matchesSpanning : matchesFolded;
  return matches(pattern, folded) || (bare !== null && matches(pattern, bare));
}

function matchesFolded({ folded: wanted, rest }: CompiledPattern, folded: readonly string[]): boolean {
  if (rest ? folded.length < wanted.length : folded.length !== wanted.length) return false;
  for (let i = 0; i < wanted.length; i++) if (wanted[i] !== '*' && wanted[i] !== folded[i]) return false;
  return true;
}

/** As `matchesFolded`, but `*` takes one segment or more: linear glob matching with one point of return. */
function matchesSpanning({ folded: wanted, rest }: CompiledPattern, folded: readonly string[]): boolean {
  let at = 0;
  let next = 0;
  let star = -1;
  let starAt = 0;
  while (at < folded.length) {
    if (next === wanted.length && rest) return true;
    if (next < wanted.length && wanted[next] === '*') {
      star = next++;
      starAt = ++at;
    } else if (next < wanted.length && wanted[next] === folded[at]) {
      next++;
      at++;
    } else if (star !== -1) {
      next = star + 1;
      at = ++starAt;
    } else return false;
  }
  return next === wanted.length;
}

/**
 * Whether the path falls under one of the patterns of a rule. `isBroad` for rules that refuse: every spelling counts then.
 * An allow rule whose pattern would be met by a `%2f` in place of a wildcard is not sure of what it allows.
 */
export function matchPaths(patterns: readonly CompiledPattern[], reading: PathReading, isBroad: boolean): PathVerdict {
  if (reading.ambiguity !== null) return 'ambiguous';
  let isDoubtful = false;
  for (const pattern of patterns) {
    if (matchesExactly(pattern, reading)) return 'yes';
    if (!isBroad && !reading.hasEscapedSlash) continue;
    if (matchesAnySpelling(pattern, reading)) {
      if (isBroad) return 'yes';
      isDoubtful = true;
    }
  }
  return isDoubtful ? 'ambiguous' : 'no';
}

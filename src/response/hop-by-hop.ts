/**
 * Duty: drops the fields that belong to the upstream connection, and those by which an upstream would hand out a session.
 * In → Out: HeaderList → HeaderList.
 * Holds: what Connection names goes too; where a credential was injected, nothing that a workload could keep as a proof
 *   of it passes.
 * Source: RFC 9110 §7.6.1, §11.6 to §11.7; RFC 7838 §3 (Alt-Svc moves an origin away from the proxy).
 * Not here: framing fields, which whoever writes the response sets anew from its framing (http1/head-writer.ts).
 */
import { type Field, HeaderList } from '../core/headers.ts';

const CONNECTION_FIELDS: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'te',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
  'alt-svc',
  'alt-used',
]);

const SESSION_FIELDS: ReadonlySet<string> = new Set(['set-cookie', 'set-cookie2', 'authentication-info']);

/** Describe the body of this very message; no Connection field can make them go away. */
const PROTECTED_FIELDS: ReadonlySet<string> = new Set(['content-length', 'content-type', 'content-encoding']);

/** A challenge that only names what is asked for; negotiations carry state from round to round. */
const PLAIN_CHALLENGE = /^(?:basic|bearer|apikey|token)(?: |$)/i;
const NEGOTIATION = /(?:^|[ ,])(?:negotiate|ntlm|kerberos|digest|mutual|scram-[a-z0-9-]+|hoba)(?:[ ,]|$)/i;

/** `isInjected`: a credential went out with the request. Trailer fields are treated alike. */
export function endToEndFields(headers: HeaderList, isInjected: boolean): HeaderList {
  const nominated = nominatedBy(headers);
  const kept: Field[] = [];
  for (const field of headers.fields) {
    const { key, value } = field;
    if (CONNECTION_FIELDS.has(key) || key.startsWith('proxy-')) continue;
    if (nominated?.has(key) === true && !PROTECTED_FIELDS.has(key)) continue;
    if (isInjected && (SESSION_FIELDS.has(key) || (key === 'www-authenticate' && !isPlainChallenge(value)))) continue;
    kept.push(field);
  }
  return HeaderList.owning(kept);
}

function isPlainChallenge(value: string): boolean {
  return PLAIN_CHALLENGE.test(value) && !NEGOTIATION.test(value);
}

function nominatedBy(headers: HeaderList): ReadonlySet<string> | null {
  let names: Set<string> | null = null;
  for (const { key, value } of headers.fields) {
    if (key !== 'connection') continue;
    names ??= new Set();
    for (const option of value.split(',')) names.add(trimmed(option).toLowerCase());
  }
  return names;
}

/** Without the outer white space of HTTP, which is not what `trim` takes away; linear, unlike a pattern anchored at the end. */
function trimmed(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && isSpace(text.charCodeAt(start))) start++;
  while (end > start && isSpace(text.charCodeAt(end - 1))) end--;
  return text.slice(start, end);
}

const isSpace = (code: number): boolean => code === 0x20 || code === 0x09;

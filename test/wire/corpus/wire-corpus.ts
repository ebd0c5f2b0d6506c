/**
 * Duty: everything that goes through a tunnel in `smuggling.test.ts`: the corpus of the codec, as it shows on the wire, and
 *   what only a whole proxy can be asked.
 */
import { ACCEPTED, REFUSED_GROUPS } from '../../unit/http1/request-corpus.ts';
import { FRAMING_CASES } from './framing-cases.ts';
import { HEAD_CASES } from './head-cases.ts';
import { ROUTING_CASES } from './routing-cases.ts';
import { onTheWire, safe, type WireCase } from './wire-case.ts';

/** Refused when the head has gone out already. */
const IN_BODY = /^(?:chunks|sizes: .*(?:extension|trailer))/;
/** Lawful by themselves, and not in a tunnel to a.test:443. */
const ELSEWHERE: Readonly<Record<string, number>> = {
  'a Host with another port': 421,
  'an IPv4 Host': 421,
  'an IPv6 Host': 421,
  'HTTP/1.0 without Host': 400,
  CONNECT: 400,
  'CONNECT with a bare Host': 400,
  'CONNECT in HTTP/1.0 without Host': 400,
};
/** Whether a tunnel relays an upgrade is not the codec's affair. */
const NOT_HERE = 'an upgrade, for the tunnel to judge';

const CODEC_REFUSED: readonly WireCase[] = Object.entries(REFUSED_GROUPS).flatMap(([group, list]) =>
  list.map((each): WireCase => {
    const only = onTheWire(group, each);
    if (group === 'between requests') return behindOne(only);
    return IN_BODY.test(`${group}: ${each.name}`) ? { ...only, isPartial: true } : only;
  }),
);

function behindOne(refusal: WireCase): WireCase {
  const [first = ''] = /^[A-Z]+ [^ ]+ /.exec(refusal.raw) ?? [];
  const body = refusal.raw.includes('Content-Length: 1') ? 'a' : '';
  return { ...refusal, statuses: [200, ...refusal.statuses], forwarded: [first + body] };
}

const CODEC_ACCEPTED: readonly WireCase[] = ACCEPTED.filter(({ name }) => name !== NOT_HERE).map((each): WireCase => {
  const { name, raw, method, target, body, keepAlive = true } = each;
  const status = ELSEWHERE[name] ?? (/^https?:/i.test(target) ? 400 : 200);
  const [only] = safe('accepted by the codec', [[name, raw, `${method} ${target} ${body ?? ''}`]]);
  if (status === 200) return { ...(only as WireCase), isClosed: !keepAlive };
  return { ...(only as WireCase), statuses: [status], forwarded: [], isClosed: true, by: 'tunnel' };
});

export const WIRE_CASES: readonly WireCase[] = [...FRAMING_CASES, ...HEAD_CASES, ...ROUTING_CASES];

export const WIRE_CORPUS: readonly WireCase[] = [...CODEC_REFUSED, ...CODEC_ACCEPTED, ...WIRE_CASES];

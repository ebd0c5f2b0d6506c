/**
 * Duty: what a set of redirect rules has to do, whichever tool writes them.
 * In → Out: words of a command line → `RedirectPlan`, or what is wrong with them.
 * Not here: the rules (nft-rules.ts, iptables-rules.ts).
 */
import { formatIp, parseIp } from '../core/ip-address.ts';

export interface RedirectPlan {
  /** Of the transparent listener. */
  readonly proxyPort: number;
  /** Whose traffic goes out as it is: the proxy's. */
  readonly proxyUid: number;
  /** TCP ports that are redirected. */
  readonly ports: readonly number[];
  readonly exemptPorts: readonly number[];
  readonly exempt: readonly Network[];
  /** `keep`: questions go where they go. A number: to this port of this host. `drop`: nowhere. */
  readonly dns: 'keep' | 'drop' | number;
  /** What is neither redirected nor exempt is refused; otherwise only QUIC is. */
  readonly refusesOthers: boolean;
}

export interface Network {
  readonly family: 4 | 6;
  /** `10.0.0.0/8` */
  readonly text: string;
}

const CIDR = /^([0-9A-Fa-f.:]{2,45})\/([0-9]{1,3})$/;
const NUMBER = /^(?:0|[1-9][0-9]{0,9})$/;
const MAX_UID = 4_294_967_294;

/** Null where it is none; bits behind the prefix are taken off. */
export function parseNetwork(text: string): Network | null {
  const [, address = '', prefixText = ''] =
    CIDR.exec(text.includes('/') ? text : `${text}/${text.includes(':') ? 128 : 32}`) ?? [];
  const bytes = parseIp(address);
  const prefix = Number(prefixText);
  if (bytes === null || prefixText === '' || prefix > bytes.length * 8) return null;
  const kept = bytes.map((byte, i) => byte & (0xff00 >> Math.min(8, Math.max(0, prefix - i * 8))) & 0xff);
  return { family: bytes.length === 4 ? 4 : 6, text: `${formatIp(kept)}/${prefix}` };
}

/** Null where it is none. */
export function parsePortNumber(text: string): number | null {
  const port = NUMBER.test(text) ? Number(text) : 0;
  return port >= 1 && port <= 65_535 ? port : null;
}

/** Null where it is none. */
export function parseUid(text: string): number | null {
  return NUMBER.test(text) && Number(text) <= MAX_UID ? Number(text) : null;
}

/**
 * Duty: the kernel's word on who owns the other end of a loopback connection.
 * In → Out: 4-tuple → uid and socket inode, or null where the kernel does not say.
 * Holds: only an ESTABLISHED row of exactly this 4-tuple counts; the overflow uid (an unmapped user namespace) is unknown.
 * Threat: every program of that uid looks the same; a token or a selector of its own tells them apart.
 * Source: proc(5), /proc/net/tcp; linux net/ipv4/tcp_ipv4.c get_tcp4_sock.
 */
import { readFile } from 'node:fs/promises';
import { endianness } from 'node:os';
import { parseIp } from '../core/ip-address.ts';
import type { Endpoint } from '../listener/connection.ts';

export interface SocketOwner {
  readonly uid: number;
  readonly inode: string;
}

const ESTABLISHED = '01';
const OVERFLOW_UID = 65_534;

/** `peer` is the workload's end, `self` is ours. Tables other than /proc/net are for tests. */
export async function socketOwner(peer: Endpoint, self: Endpoint, procNet = '/proc/net'): Promise<SocketOwner | null> {
  const local = rowText(peer);
  const remote = rowText(self);
  if (local === null || remote === null) return null;
  const tables = await Promise.all([tableText(`${procNet}/tcp`), tableText(`${procNet}/tcp6`)]);
  for (const table of tables) {
    const owner = findRow(table, local, remote);
    if (owner !== null) return owner;
  }
  return null;
}

async function tableText(path: string): Promise<string> {
  try {
    return await readFile(path, 'latin1');
  } catch {
    return '';
  }
}

/** `0100007F:1F90`: address in host byte order of 32-bit words, port in hex. IPv4-mapped addresses match both tables. */
function rowText(end: Endpoint): readonly string[] | null {
  const text = end.address.startsWith('::ffff:') && end.address.includes('.') ? end.address.slice(7) : end.address;
  const bytes = parseIp(text);
  if (bytes === null) return null;
  const port = end.port.toString(16).toUpperCase().padStart(4, '0');
  const mapped =
    bytes.length === 4 ? [wordsText(Buffer.from([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, ...bytes]))] : [];
  return [wordsText(bytes), ...mapped].map((address) => `${address}:${port}`);
}

function wordsText(bytes: Uint8Array): string {
  const words = Buffer.from(bytes);
  if (endianness() === 'LE') words.swap32();
  return words.toString('hex').toUpperCase();
}

function findRow(table: string, local: readonly string[], remote: readonly string[]): SocketOwner | null {
  for (const [i, address] of local.entries()) {
    const at = table.indexOf(` ${address} ${remote[i] ?? ''} ${ESTABLISHED} `);
    if (at === -1) continue;
    // `sl local remote st tx:rx tr:when retrnsmt uid timeout inode`
    const columns = table
      .slice(at + 1, table.indexOf('\n', at))
      .trim()
      .split(/ +/);
    const uid = Number(columns[6]);
    const inode = columns[8];
    if (!Number.isInteger(uid) || uid === OVERFLOW_UID || inode === undefined || inode === '0') return null;
    return { uid, inode };
  }
  return null;
}

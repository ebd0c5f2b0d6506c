/**
 * Duty: the kernel's word on who owns the other end of a connection of this host.
 * In → Out: connection → uid and socket inode, or null where the kernel does not say.
 * Holds: only an established socket of exactly this 4-tuple in our own network namespace counts; the overflow uid (an
 *   unmapped user namespace) is unknown.
 * Threat: every program of that uid looks the same; a token or a selector of its own tells them apart.
 * Source: proc(5), /proc/net/tcp; linux net/ipv4/tcp_ipv4.c get_tcp4_sock.
 */
import { readFile } from 'node:fs/promises';
import { endianness } from 'node:os';
import { parseIp, unmapped } from '../core/ip-address.ts';
import type { Connection, Endpoint } from '../listener/connection.ts';
import { SharedRun } from './shared-run.ts';
import type { FoundSocket, SocketDiagnosis } from './socket-diagnosis.ts';
import { systemCalls } from './system-calls.ts';
import { unixPeer } from './unix-peer.ts';

export interface SocketOwner {
  readonly uid: number;
  readonly inode: string;
  /** Of the process that connected, where the kernel remembers it. */
  readonly pid?: number;
}

const ESTABLISHED = '01';
const DEFAULT_OVERFLOW_UID = 65_534;

/** `remote` is the workload's end, `local` is ours. */
export type SocketOwners = (connection: Connection) => Promise<SocketOwner | null>;

export function createSocketOwners(proc: string, diagnosis: () => Promise<SocketDiagnosis>): SocketOwners {
  const tables = new SocketTables(`${proc}/net`);
  const overflowUid = readFile(`${proc}/sys/kernel/overflowuid`, 'latin1')
    .then(Number)
    .catch(() => DEFAULT_OVERFLOW_UID);
  return async (connection) => {
    const found =
      connection.way === 'unix'
        ? unixPeer(connection, await diagnosis(), await systemCalls())
        : await ofTuple(connection, await diagnosis(), tables);
    return found === null || found.uid === (await overflowUid) ? null : found;
  };
}

async function ofTuple(
  { remote, local }: Connection,
  diagnosis: SocketDiagnosis,
  tables: SocketTables,
): Promise<SocketOwner | null> {
  const diagnosed = diagnosis.tcp(remote, local);
  const found = diagnosed === undefined ? await tables.find(remote, local) : diagnosed;
  return found === null || found.inode === 0 ? null : { uid: found.uid, inode: String(found.inode) };
}

/** The kernel walks through all its buckets for them, some milliseconds on a large host, so those who wait share one reading. */
class SocketTables {
  readonly #tcp: SharedRun<string>;
  readonly #tcp6: SharedRun<string>;

  constructor(folder: string) {
    const table = (name: string) => new SharedRun(() => readFile(`${folder}/${name}`, 'latin1').catch(() => ''));
    this.#tcp = table('tcp');
    this.#tcp6 = table('tcp6');
  }

  async find(peer: Endpoint, self: Endpoint): Promise<FoundSocket | null> {
    const local = rowTexts(peer);
    const remote = rowTexts(self);
    // A socket of IPv6 with mapped addresses stands in the other table, so it is asked second.
    for (const [i, text] of local.entries()) {
      const table = await (text.length > 13 ? this.#tcp6 : this.#tcp).run();
      const found = findRow(table, text, remote[i] ?? '');
      if (found !== null) return found;
    }
    return null;
  }
}

/** `0100007F:1F90`: address in host byte order of 32-bit words, port in hex; IPv4, then what it is in IPv6. */
function rowTexts(end: Endpoint): readonly string[] {
  const parsed = parseIp(end.address);
  if (parsed === null) return [];
  const bytes = unmapped(parsed);
  const port = end.port.toString(16).toUpperCase().padStart(4, '0');
  const mapped = bytes.length === 4 ? [Buffer.from([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, ...bytes])] : [];
  return [bytes, ...mapped].map((address) => `${wordsText(address)}:${port}`);
}

function wordsText(bytes: Uint8Array): string {
  const words = Buffer.from(bytes);
  if (endianness() === 'LE') words.swap32();
  return words.toString('hex').toUpperCase();
}

function findRow(table: string, local: string, remote: string): FoundSocket | null {
  const at = table.indexOf(` ${local} ${remote} ${ESTABLISHED} `);
  if (at === -1) return null;
  // `sl local remote st tx:rx tr:when retrnsmt uid timeout inode`
  const columns = table
    .slice(at + 1, table.indexOf('\n', at))
    .trim()
    .split(/ +/);
  const uid = Number(columns[6]);
  const inode = Number(columns[8]);
  return Number.isInteger(uid) && Number.isInteger(inode) ? { uid, inode } : null;
}

/**
 * Duty: whether a program in this place can go around the proxy.
 * In → Out: targets → attempts with their outcomes, each with the next step where one got through.
 * Holds: uses no variable of the environment; sends a ClientHello, a few bytes and a question for a name, no credential and no request;
 *   each attempt is bounded in time. Silence and a refusal count as closed, an answer as open: so the
 *   addresses should be of hosts that answer.
 * Source: RFC 8446; RFC 1035 §4 (a question for a name); capabilities(7).
 * Not here: what a well-behaved program meets (examine.ts).
 */
import { createSocket } from 'node:dgram';
import { existsSync, readFileSync } from 'node:fs';
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls, type PeerCertificate } from 'node:tls';
import { OWN_ISSUER } from './examine.ts';

export interface BypassTargets {
  /** Where a program would like to go. */
  readonly host: string;
  /** Of the internet; what answers there answers nobody's question but that of who got out. */
  readonly addresses: readonly string[];
  /** Of Vault, `host:port`; null: none is known. */
  readonly vault: { readonly host: string; readonly port: number } | null;
  /** Of the proxy's own administration. */
  readonly adminSocket: string;
}

export interface Attempt {
  readonly attempt: string;
  readonly state: 'closed' | 'proxied' | 'open';
  readonly detail: string;
  readonly next: string | null;
}

/** DNS over TLS: a port that public resolvers answer on, and that is no web. */
const OTHER_PORT = 853;
const WAIT_MS = 3_000;
const RULES = 'let countersign sidecar-init write the rules, in this network namespace';

type Outcome = Pick<Attempt, 'state' | 'detail'>;
const closed = (detail: string): Outcome => ({ state: 'closed', detail });
const open = (detail: string): Outcome => ({ state: 'open', detail });

export async function tryBypass(targets: BypassTargets): Promise<readonly Attempt[]> {
  const attempts: Attempt[] = [capabilities()];
  const told = async (attempt: string, next: string, outcome: Promise<Outcome>): Promise<void> => {
    const { state, detail } = await outcome;
    attempts.push({ attempt, state, detail, next: state === 'open' ? next : null });
  };
  for (const address of targets.addresses) {
    await told(`TLS to ${address}, port 443`, RULES, tls(address, targets));
    await told(`TCP to ${address}, port ${OTHER_PORT}`, `${RULES}, without --allow-others`, tcp(address, OTHER_PORT));
    await told(`QUIC to ${address} (UDP 443)`, RULES, udp(address, 443, Buffer.from('countersign')));
    const dns =
      'names carry data out: sidecar-init --dns PORT or --dns drop, or a resolver that answers for known names alone';
    await told(`DNS of ${address}`, dns, udp(address, 53, question(targets.host)));
  }
  const { vault } = targets;
  if (vault !== null)
    await told(
      `Vault at ${vault.host}:${vault.port}`,
      'a workload needs no way to Vault; take it off the exemptions, and close it by a network policy',
      tcp(vault.host, vault.port),
    );
  await told(
    `the proxy's admin socket`,
    'keep the folder of the state to the user of the proxy',
    admin(targets.adminSocket),
  );
  return attempts;
}

/** CAP_SETUID becomes the exempt user, CAP_NET_ADMIN changes the rules, CAP_NET_RAW sends below them. */
const DANGEROUS: readonly (readonly [bit: bigint, name: string])[] = [
  [7n, 'CAP_SETUID'],
  [12n, 'CAP_NET_ADMIN'],
  [13n, 'CAP_NET_RAW'],
  [21n, 'CAP_SYS_ADMIN'],
];

function capabilities(): Attempt {
  const attempt = 'capabilities';
  const status = existsSync('/proc/self/status') ? readFileSync('/proc/self/status', 'latin1') : '';
  const digits = /^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1];
  if (digits === undefined) return { attempt, state: 'closed', detail: 'the kernel tells of none', next: null };
  const held = DANGEROUS.filter(([bit]) => ((BigInt(`0x${digits}`) >> bit) & 1n) === 1n).map(([, name]) => name);
  if (held.length === 0) return { attempt, state: 'closed', detail: 'none that changes rules or users', next: null };
  const next = 'run the workload as a user of its own, without capabilities (drop: [ALL], runAsNonRoot)';
  return { attempt, state: 'open', detail: `it has ${held.join(', ')}`, next };
}

function tls(address: string, { host }: BypassTargets): Promise<Outcome> {
  return new Promise((resolve) => {
    const socket = connectTls({ host: address, port: 443, servername: host, rejectUnauthorized: false });
    const settle = (outcome: Outcome): void => {
      socket.destroy();
      resolve(outcome);
    };
    socket.setTimeout(WAIT_MS, () => settle(closed('nobody answered')));
    let isConnected = false;
    socket.once('connect', () => {
      isConnected = true;
    });
    socket.once('secureConnect', () => {
      const { issuer } = socket.getPeerCertificate() as Partial<PeerCertificate>;
      const name = String(issuer?.CN ?? 'nobody');
      if (name.startsWith(OWN_ISSUER)) settle({ state: 'proxied', detail: `it came to the proxy (${name})` });
      else settle(open(`somebody else answered, with a certificate of ${JSON.stringify(name.slice(0, 80))}`));
    });
    socket.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ERR_SSL_TLSV1_ALERT_ACCESS_DENIED')
        settle({ state: 'proxied', detail: 'it came to the proxy, which refused it' });
      // An answer that is no TLS is an answer, and so is an end.
      else if (isConnected)
        settle(open(`somebody took the connection, who speaks no TLS (${error.code ?? 'unknown'})`));
      else settle(closed(codeOf(error)));
    });
  });
}

function tcp(host: string, port: number): Promise<Outcome> {
  return connected(connectTcp({ host, port }));
}

function admin(path: string): Promise<Outcome> {
  return existsSync(path) ? connected(connectTcp({ path })) : Promise.resolve(closed('it cannot be seen from here'));
}

function connected(socket: Socket): Promise<Outcome> {
  return new Promise((resolve) => {
    const settle = (outcome: Outcome): void => {
      socket.destroy();
      resolve(outcome);
    };
    socket.setTimeout(WAIT_MS, () => settle(closed('nobody answered')));
    socket.once('connect', () => settle(open('it is connected')));
    socket.once('error', (error: NodeJS.ErrnoException) => settle(closed(codeOf(error))));
  });
}

function udp(address: string, port: number, bytes: Buffer): Promise<Outcome> {
  return new Promise((resolve) => {
    const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
    const timer = setTimeout(() => settle(closed('nobody answered')), WAIT_MS);
    const settle = (outcome: Outcome): void => {
      clearTimeout(timer);
      socket.close();
      resolve(outcome);
    };
    socket.once('message', () => settle(open('there was an answer')));
    socket.once('error', (error: NodeJS.ErrnoException) => settle(closed(codeOf(error))));
    socket.connect(port, address, (error?: Error) => {
      if (error === undefined) socket.send(bytes, (failed) => failed && settle(closed(codeOf(failed))));
    });
  });
}

const codeOf = (error: NodeJS.ErrnoException): string => `it was refused (${error.code ?? 'unknown'})`;

/** For an address of a name; recursion desired. */
function question(name: string): Buffer {
  const labels = name
    .split('.')
    .map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label, 'latin1')]));
  return Buffer.concat([
    Buffer.from([0x63, 0x73, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]),
    ...labels,
    Buffer.from([0, 0, 1, 0, 1]),
  ]);
}

/**
 * Duty: a command in a jail: namespaces from which there is one way out, the proxy, and that as one instance.
 * In → Out: a command, the instance's facts, the user's wishes → the command's exit code.
 * Holds: the sockets inside are ours alone; what arrives on them is this instance, so no token is in the jail. The jail ends
 *   with the command, and with this process, however that ends. The channel to the inside is closed before the command starts.
 * Fails: JailUnavailable, JailPlanError, JailFailure.
 * Not here: whether this system can (refusals.ts), which files it sees (mount-plan.ts).
 */
import { type ChildProcess, spawn } from 'node:child_process';
import type { Socket as DatagramSocket } from 'node:dgram';
import { Server } from 'node:net';
import { constants } from 'node:os';
import { fileURLToPath } from 'node:url';
import { hasTerminal, isInForeground, signalCommand } from './command-process.ts';
import { planMounts } from './mount-plan.ts';
import { NameServer } from './name-server.ts';
import { findJail, NAMESPACE_FLAGS } from './refusals.ts';
import { Relays } from './relays.ts';
import { rootName } from './root-name.ts';
import { isTypingAllowed, look, seenMounts, seenSockets } from './survey.ts';
import { SyntheticNames } from './synthetic-names.ts';
import type { Entry, FromInside, SocketRole, ToInside, Tools } from './words.ts';

export interface JailOrder {
  readonly command: string;
  readonly args: readonly string[];
  /** Of the command; nothing of the proxy is in it. */
  readonly environment: Readonly<Record<string, string>>;
  /** Of `run`: where the user's things are. */
  readonly ownEnvironment: Readonly<Record<string, string | undefined>>;
  readonly workingDirectory: string;
  readonly uid: number;
  readonly gid: number;
  readonly umask: number;
  readonly home: string;
  readonly node: { readonly path: string; readonly arguments: readonly string[] };
  readonly proxy: {
    readonly proxyUrl: string;
    readonly caCertificate: string;
    readonly bundleFile: string;
    /** What the bundle has in the jail. */
    readonly rootsFile: string;
    readonly javaTrustStore: string;
  };
  /** What is the proxy's alone. */
  readonly proxyPaths: readonly string[];
  readonly ports: readonly number[];
  readonly hostPorts: readonly number[];
  readonly hide: readonly string[];
  readonly show: readonly string[];
  /** What happens in it, a line each. */
  log(line: string): void;
  /** For the user's eyes. */
  tell(words: string): void;
}

export interface Jail {
  /** The command's own exit code, 128 + n where signal n ended it. */
  readonly ended: Promise<number>;
  deliver(signal: NodeJS.Signals): void;
}

/** The command did not start. Said to the user as it is. */
export class JailFailure extends Error {
  override readonly name = 'JailFailure';
  readonly exitCode: number;

  constructor(words: string, exitCode: number) {
    super(words);
    this.exitCode = exitCode;
  }
}

const MAX_CONNECTIONS = 1_024;
const DIAL_TIMEOUT_MS = 30_000;
const UNABLE = 70;

const OWN_SESSION =
  'this kernel lets a program type into its terminal (dev.tty.legacy_tiocsti), so the command has a session of its own, without Ctrl-Z and /dev/tty; Node 26.1 or newer, or sysctl dev.tty.legacy_tiocsti=0, gives them back';

/** Ports that every jail has a way out of. */
export const USUAL_PORTS: readonly number[] = [443, 80];

const PROGRAM = fileURLToPath(
  new URL(import.meta.url.endsWith('.ts') ? './inside/inside.ts' : './inside/inside.js', import.meta.url),
);

/** Resolves when the command runs. @throws JailUnavailable, JailPlanError, JailFailure */
export async function openJail(order: JailOrder): Promise<Jail> {
  const tools = await findJail(order.uid, order.ownEnvironment['PATH']);
  const entry = entryFor(order);
  const child = startInside(tools, order);
  const sockets = new JailSockets(order);
  const ended = new Promise<number>((resolve) => {
    child.once('error', () => resolve(UNABLE));
    child.once('exit', (code, signal) => {
      sockets.close();
      resolve(signal === null ? (code ?? UNABLE) : 128 + constants.signals[signal]);
    });
  });
  await started(child, ended, sockets, { tools, order, entry });
  return {
    ended,
    deliver: (signal) => {
      if (signal === 'SIGINT' && isInForeground() && !sockets.hasOwnSession) return;
      if (child.pid !== undefined) signalCommand(child.pid, signal);
    },
  };
}

function entryFor(order: JailOrder): Entry {
  const { proxy, home, uid, gid, umask, workingDirectory, ownEnvironment, proxyPaths, hide, show } = order;
  const plan = planMounts(
    {
      ...{ home, workingDirectory, environment: ownEnvironment, proxyPaths, hide, show },
      ...{ bundleFile: proxy.bundleFile, rootsFile: proxy.rootsFile, trustStore: proxy.javaTrustStore },
      ...{ sockets: seenSockets(), mounts: seenMounts() },
    },
    look,
  );
  return {
    ...{
      plan,
      uid,
      gid,
      umask,
      workingDirectory,
      command: order.command,
      args: order.args,
      environment: order.environment,
    },
    root: { name: rootName(proxy.caCertificate), pem: proxy.caCertificate },
    isTerminalOpen: hasTerminal() && isTypingAllowed(),
  };
}

/** `unshare` ends with us, and with it, by --kill-child, process 1 of the jail and all the others. */
function startInside({ setpriv, unshare }: Tools, { node }: JailOrder): ChildProcess {
  const program = [node.path, ...node.arguments, '--disable-warning=ExperimentalWarning', PROGRAM];
  const words = ['--pdeathsig', 'KILL', '--', unshare, ...NAMESPACE_FLAGS, '--kill-child', '--', ...program];
  return spawn(setpriv, words, { stdio: ['inherit', 'inherit', 'inherit', 'ipc'], env: { LC_ALL: 'C' } });
}

interface Start {
  readonly tools: Tools;
  readonly order: JailOrder;
  readonly entry: Entry;
}

function started(
  child: ChildProcess,
  ended: Promise<number>,
  sockets: JailSockets,
  { tools, order, entry }: Start,
): Promise<void> {
  const send = (words: ToInside): void => void child.send(words, () => {});
  return new Promise((resolve, reject) => {
    const fail = (words: string, exitCode: number): void => {
      sockets.close();
      child.kill('SIGKILL');
      reject(new JailFailure(words, exitCode));
    };
    void ended.then((code) => fail(`the jail ended before the command began (${code})`, UNABLE));
    child.on('message', (words: FromInside, handle?: unknown) => {
      if (words.say === 'socket') sockets.take(words.role, words.port, handle);
      else if (words.say === 'listening') send({ say: 'enter', entry });
      else if (words.say === 'failed') fail(words.words, words.exitCode);
      else {
        sockets.hasOwnSession = words.hasOwnSession;
        if (words.hasOwnSession) order.tell(OWN_SESSION);
        child.disconnect();
        resolve();
      }
    });
    const ports = [...new Set([...USUAL_PORTS, ...order.ports])];
    send({ say: 'listen', tools, ports, hostPorts: [...new Set(order.hostPorts)] });
  });
}

/** The ends of the jail's network that are outside. */
class JailSockets {
  readonly #relays: Relays;
  readonly #names: NameServer;
  readonly #hosts = new SyntheticNames();
  readonly #open = new Set<Server | DatagramSocket>();
  hasOwnSession = false;

  constructor(order: JailOrder) {
    this.#relays = new Relays({
      proxyUrl: order.proxy.proxyUrl,
      maxConnections: MAX_CONNECTIONS,
      dialTimeoutMs: DIAL_TIMEOUT_MS,
      onRefused: (address, port, why) => {
        const name = this.#hosts.nameOf(address);
        order.log(`refused ${name === null ? address : `${name} (${address})`} port ${port}: ${why}`);
      },
    });
    this.#names = new NameServer(this.#hosts, (name) => order.log(`name ${name}`));
  }

  take(role: SocketRole, port: number, handle: unknown): void {
    const socket = handle as Server | DatagramSocket;
    this.#open.add(socket);
    if (!(socket instanceof Server)) this.#names.serveDatagrams(socket);
    else if (role === 'names') this.#names.serveStreams(socket);
    else if (role === 'hostPort') this.#relays.toHostPort(socket, port);
    else this.#relays.toProxy(socket);
  }

  close(): void {
    this.#relays.close();
    this.#names.close();
    for (const socket of this.#open) socket.close();
    this.#open.clear();
  }
}

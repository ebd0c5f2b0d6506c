/**
 * Duty: what a program in this environment would meet on its way to a host.
 * In → Out: environment, URL → findings, in the order of the way; each with the next step where something is wrong.
 * Holds: tells "does not use the proxy" from "is not identified", "does not trust the CA" and "is denied"; sends one request without
 *   body to the host, with what the environment has and no credential; says nothing of a token but that it is there.
 * Source: RFC 9110 §9.3.6, §11.7; RFC 9457; RFC 9209.
 */
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { CLIENTS, type ClientNeeds } from './clients.ts';
import { judgeJava } from './java.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

export interface Finding {
  readonly check: 'variables' | 'proxy' | 'identity' | 'trust' | 'request';
  readonly state: 'ok' | 'wrong';
  readonly detail: string;
  readonly next: string | null;
}

export interface ClientFinding {
  readonly client: string;
  readonly state: 'ok' | 'no proxy' | 'no trust' | 'unknown';
  readonly next: string | null;
  readonly note: string | null;
}

export interface Examination {
  readonly findings: readonly Finding[];
  readonly clients: readonly ClientFinding[];
}

interface ProxyAddress {
  readonly host: string;
  readonly port: number;
  /** `user:password`, decoded; null where there are none. */
  readonly login: string | null;
}

interface HttpAnswer {
  readonly status: number;
  readonly fields: ReadonlyMap<string, string>;
  readonly body: string;
}

const WAIT_MS = 10_000;
const MAX_HEAD_BYTES = 64 * 1_024;
/** tunnel/issuing-ca.ts */
export const OWN_ISSUER = 'Countersign issuing CA ';
const RUN = 'start the program with countersign run -- …, or eval "$(countersign env)" in its shell';

const ok = (check: Finding['check'], detail: string): Finding => ({ check, state: 'ok', detail, next: null });
const wrong = (check: Finding['check'], detail: string, next: string): Finding => ({
  check,
  state: 'wrong',
  detail,
  next,
});

export async function examine(environment: Environment, url: URL): Promise<Examination> {
  const findings: Finding[] = [];
  const chain = await walk(environment, url, findings);
  const isRedirected = chain !== null && proxyNamedIn(environment) === null;
  const java = judgeJava(environment['JAVA_TOOL_OPTIONS'] ?? '', chain, isRedirected);
  const clients = CLIENTS.map((needs) => judge(needs, environment, chain, isRedirected));
  return { findings, clients: [...clients, java] };
}

/** The certificates that the proxy showed; null where it came to none. */
async function walk(environment: Environment, url: URL, findings: Finding[]): Promise<X509Certificate | null> {
  const redirected = proxyNamedIn(environment) === null ? await straight(url) : null;
  if (redirected !== null) return redirectedWalk(environment, url, redirected, findings);
  const proxy = proxyIn(environment, findings);
  if (proxy === null) return null;
  const authority = `${url.hostname}:${url.port === '' ? 443 : url.port}`;
  let socket: Socket;
  try {
    socket = await opened(proxy);
    findings.push(ok('proxy', `${proxy.host}:${proxy.port} answers`));
  } catch (thrown) {
    const code = (thrown as NodeJS.ErrnoException).code ?? 'no answer in time';
    const next = 'is the proxy running? countersign status; in a container, is it reachable under this name?';
    findings.push(wrong('proxy', `${proxy.host}:${proxy.port} cannot be reached (${code})`, next));
    return null;
  }
  try {
    const answer = await asked(socket, connectHead(authority, proxy.login));
    const refusal = refusalOf(answer, authority, proxy);
    findings.push(refusal ?? ok('identity', `the proxy knows this workload and opens a tunnel to ${authority}`));
    if (refusal !== null) return null;
    const secure = await handshake(socket, url.hostname);
    const leaf = new X509Certificate(secure.getPeerCertificate(true).raw);
    findings.push(trustFinding(environment, leaf));
    findings.push(requestFinding(await asked(secure, requestHead(url)), url));
    return leaf;
  } catch (thrown) {
    const what = thrown instanceof Error ? thrown.message : 'failed';
    findings.push(
      wrong('request', `the connection ended: ${what}`, 'look into the log of the proxy, and countersign status'),
    );
    return null;
  } finally {
    socket.destroy();
  }
}

const proxyNamedIn = (environment: Environment): string | null =>
  environment['HTTPS_PROXY'] || environment['https_proxy'] || null;

/** TLS as a program makes it that knows no proxy; null where it does not come to this proxy. */
async function straight({ hostname, port }: URL): Promise<TLSSocket | null> {
  try {
    const socket = await opened({ host: hostname, port: Number(port || 443) });
    const secure = await handshake(socket, hostname).catch(() => null);
    const issuer = String(secure?.getPeerCertificate().issuer?.CN ?? '');
    if (secure !== null && issuer.startsWith(OWN_ISSUER)) return secure;
    socket.destroy();
    return null;
  } catch {
    return null;
  }
}

/** In a jail, or behind a redirect. */
async function redirectedWalk(
  environment: Environment,
  url: URL,
  secure: TLSSocket,
  findings: Finding[],
): Promise<X509Certificate | null> {
  findings.push(ok('variables', 'no variable names a proxy, and none is needed: connections are redirected to it'));
  findings.push(ok('identity', 'the proxy knows this workload and lets it begin'));
  const leaf = new X509Certificate(secure.getPeerCertificate(true).raw);
  findings.push(trustFinding(environment, leaf));
  try {
    findings.push(requestFinding(await asked(secure, requestHead(url)), url));
  } catch (thrown) {
    const what = thrown instanceof Error ? thrown.message : 'failed';
    findings.push(wrong('request', `the connection ended: ${what}`, 'look into the log of the proxy'));
  } finally {
    secure.destroy();
  }
  return leaf;
}

function proxyIn(environment: Environment, findings: Finding[]): ProxyAddress | null {
  const text = proxyNamedIn(environment);
  if (text === null) {
    findings.push(wrong('variables', 'HTTPS_PROXY is not set: programs go straight, without the proxy', RUN));
    return null;
  }
  try {
    const { protocol, hostname, port, username, password } = new URL(text);
    if (protocol !== 'http:' || hostname === '') throw new Error('no http URL');
    const login = username === '' ? null : `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
    const host = hostname.replace(/^\[|\]$/g, '');
    const how = login === null ? 'without a token' : 'with a token';
    findings.push(ok('variables', `HTTPS_PROXY names ${host}:${port || 80}, ${how}`));
    return { host, port: Number(port || 80), login };
  } catch {
    findings.push(wrong('variables', 'HTTPS_PROXY is no http URL', RUN));
    return null;
  }
}

function opened({ host, port }: Pick<ProxyAddress, 'host' | 'port'>): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connectTcp({ host, port });
    socket.setTimeout(WAIT_MS, () => socket.destroy(new Error('no answer in time')));
    socket.once('error', reject);
    socket.once('connect', () => {
      socket.off('error', reject);
      socket.on('error', () => undefined);
      resolve(socket);
    });
  });
}

function handshake(socket: Socket, name: string): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    // What is trusted is asked of each file afterwards; nothing that matters is sent.
    const secure = connectTls({ socket, servername: name, rejectUnauthorized: false, ALPNProtocols: ['http/1.1'] });
    secure.once('error', reject);
    secure.once('secureConnect', () => {
      secure.off('error', reject);
      secure.on('error', () => undefined);
      resolve(secure);
    });
  });
}

function connectHead(authority: string, login: string | null): string {
  const authorization = login === null ? '' : `Proxy-Authorization: Basic ${Buffer.from(login).toString('base64')}\r\n`;
  return `CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n${authorization}\r\n`;
}

const requestHead = ({ host, pathname, search }: URL): string =>
  `GET ${pathname}${search} HTTP/1.1\r\nHost: ${host}\r\nAccept: */*\r\nConnection: close\r\n\r\n`;

/** The head, and of the body what came with it. */
function asked(stream: Socket, head: string): Promise<HttpAnswer> {
  return new Promise((resolve, reject) => {
    let text = '';
    const settle = (then: () => void): void => {
      stream.off('data', onData);
      stream.off('close', onClose);
      then();
    };
    const onData = (bytes: Buffer): void => {
      text += bytes.toString('latin1');
      const end = text.indexOf('\r\n\r\n');
      if (end === -1 && text.length < MAX_HEAD_BYTES) return;
      const answer = answerIn(text.slice(0, end), text.slice(end + 4));
      if (
        answer !== null &&
        answer.status >= 400 &&
        text.length - end - 4 < Number(answer.fields.get('content-length') ?? 0)
      )
        return;
      settle(() => (answer === null ? reject(new Error('no HTTP was answered')) : resolve(answer)));
    };
    const onClose = (): void => settle(() => reject(new Error('closed without an answer')));
    stream.on('data', onData);
    stream.once('close', onClose);
    stream.write(head);
  });
}

function answerIn(head: string, body: string): HttpAnswer | null {
  const [start = '', ...lines] = head.split('\r\n');
  const status = Number(/^HTTP\/1\.[01] ([0-9]{3})/.exec(start)?.[1]);
  if (Number.isNaN(status)) return null;
  const fields = lines.map((line): [string, string] => {
    const colon = line.indexOf(':');
    return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
  });
  return { status, fields: new Map(fields), body };
}

interface Problem {
  readonly code: string;
  readonly detail: string | null;
}

/** Of the proxy's own answers alone (RFC 9457). */
function problemIn({ fields, body }: HttpAnswer): Problem | null {
  if (fields.get('content-type')?.startsWith('application/problem+json') !== true) return null;
  try {
    const { code, detail } = JSON.parse(body) as { code?: unknown; detail?: unknown };
    return typeof code === 'string' ? { code, detail: typeof detail === 'string' ? detail : null } : null;
  } catch {
    return null;
  }
}

function refusalOf(answer: HttpAnswer, authority: string, proxy: ProxyAddress): Finding | null {
  const { status } = answer;
  if (status >= 200 && status < 300) return null;
  if (status === 407) {
    const next =
      proxy.login === null
        ? `${RUN}; or give its WorkloadIdentity selectors that match it`
        : 'the token has ended or is of another proxy: take a new one (countersign env), and look at countersign instance list';
    return wrong('identity', 'the proxy does not know this workload (407)', next);
  }
  const problem = problemIn(answer);
  const what =
    problem === null ? `status ${status}` : `${problem.code}${problem.detail === null ? '' : `: ${problem.detail}`}`;
  const next = `see which rule it is: countersign explain --workload NAME GET https://${authority.replace(/:443$/, '')}/`;
  return wrong('request', `the proxy knows this workload and denies ${authority}: ${what}`, next);
}

function requestFinding(answer: HttpAnswer, url: URL): Finding {
  const problem = problemIn(answer);
  if (problem === null || answer.fields.get('proxy-status') === undefined)
    return ok('request', `GET ${url.href} was answered with ${answer.status} by the destination`);
  const what = `${problem.code}${problem.detail === null ? '' : `: ${problem.detail}`}`;
  return wrong(
    'request',
    `GET ${url.href} was refused by the proxy with ${answer.status}, ${what}`,
    `see which rule it is: countersign explain --workload NAME GET ${url.href}`,
  );
}

/** The variables that some client reads, and which of them name a file that trusts the proxy. */
function trustFinding(environment: Environment, leaf: X509Certificate): Finding {
  const names = [...new Set(CLIENTS.flatMap(({ trust }) => trust))];
  const good = names.filter((name) => trusts(environment[name], leaf));
  if (good.length === names.length)
    return ok('trust', 'every variable for a CA names a file that has the one of the proxy');
  const bad = names.filter((name) => !good.includes(name));
  return wrong('trust', `the CA of the proxy is not in what these name: ${bad.join(', ')}`, RUN);
}

function judge(
  needs: ClientNeeds,
  environment: Environment,
  leaf: X509Certificate | null,
  isRedirected: boolean,
): ClientFinding {
  const { client, note = null } = needs;
  const missing = needs.proxy.every((name) => (environment[name] ?? '') === '');
  if (missing && !isRedirected) return { client, state: 'no proxy', next: `set ${needs.proxy[0]}`, note };
  const turn = needs.switch;
  if (!isRedirected && turn !== undefined && environment[turn.name] !== turn.value)
    return { client, state: 'no proxy', next: `set ${turn.name}=${turn.value}`, note };
  if (leaf === null) return { client, state: 'unknown', next: null, note };
  const counting = needs.trust.find((name) => (environment[name] ?? '') !== '');
  if (counting !== undefined && trusts(environment[counting], leaf)) return { client, state: 'ok', next: null, note };
  const next =
    counting === undefined
      ? `set ${needs.trust[0]} to a file with the system's roots and the CA of the proxy`
      : `${counting} names a file without the CA of the proxy`;
  return { client, state: 'no trust', next, note };
}

const PEM = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g;
const FILES = new Map<string, readonly X509Certificate[]>();

function trusts(path: string | undefined, leaf: X509Certificate): boolean {
  if (path === undefined || path === '') return false;
  return certificatesIn(path).some((ca) => leaf.checkIssued(ca) && leaf.verify(ca.publicKey));
}

function certificatesIn(path: string): readonly X509Certificate[] {
  const known = FILES.get(path);
  if (known !== undefined) return known;
  let found: X509Certificate[] = [];
  try {
    found = (readFileSync(path, 'latin1').match(PEM) ?? []).map((pem) => new X509Certificate(pem));
  } catch {
    // A file that is not there has no CA in it, which is what will be said.
  }
  FILES.set(path, found);
  return found;
}

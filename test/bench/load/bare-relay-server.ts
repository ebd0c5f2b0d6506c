/**
 * Duty: what Node's own TLS sockets cost in the middle, and nothing else: no policy, no parser, no record. A process of its own.
 * In → Out: arguments port, upstream port, certificate file, key file, server name → HTTPS on 127.0.0.1 that swaps Authorization.
 * Not here: anything that a proxy for strangers needs. It believes every byte; only the benchmark may speak to it.
 */
import { readFileSync } from 'node:fs';
import { connect, createSecureContext, createServer, type TLSSocket } from 'node:tls';

const [port = '', upstreamPort = '', certificateFile = '', keyFile = '', serverName = ''] = process.argv.slice(2);
const cert = readFileSync(certificateFile);
const context = createSecureContext({ ca: cert });
const END = Buffer.from('authorization: Bearer sk-static-key-of-the-benchmark-0123456789abcdef\r\n\r\n', 'latin1');
const idle: TLSSocket[] = [];
/** Who gets what an upstream connection receives, and how many bytes are still to come; Infinity for streams. */
const owners = new WeakMap<TLSSocket, { readonly downstream: TLSSocket; left: number | null }>();

const server = createServer({ cert, key: readFileSync(keyFile), noDelay: true }, (downstream) => {
  downstream.on('error', () => downstream.destroy());
  downstream.on('data', (bytes: Buffer) => {
    const head = bytes.toString('latin1', 0, bytes.indexOf('\r\n\r\n'));
    const kept = head.split('\r\n').filter((line) => !/^authorization:/i.test(line));
    send(downstream, Buffer.concat([Buffer.from(`${kept.join('\r\n')}\r\n`, 'latin1'), END]));
  });
});
server.listen({ port: Number(port), host: '127.0.0.1', backlog: 4_096 });
process.once('SIGTERM', () => process.exit(0));

function send(downstream: TLSSocket, bytes: Buffer): void {
  const upstream = idle.pop() ?? open();
  owners.set(upstream, { downstream, left: null });
  downstream.once('close', () => {
    if (owners.get(upstream)?.downstream === downstream) upstream.destroy();
  });
  upstream.write(bytes);
}

function open(): TLSSocket {
  const upstream = connect({
    host: '127.0.0.1',
    port: Number(upstreamPort),
    servername: serverName,
    secureContext: context,
    ALPNProtocols: ['http/1.1'],
  });
  upstream.setNoDelay(true);
  upstream.on('error', () => upstream.destroy());
  upstream.on('data', (bytes: Buffer) => {
    const owner = owners.get(upstream);
    if (owner === undefined) return;
    owner.left ??= lengthOf(bytes);
    owner.left -= bytes.length;
    owner.downstream.write(bytes);
    if (owner.left > 0) return;
    owners.delete(upstream);
    idle.push(upstream);
  });
  return upstream;
}

/** Of head and body. */
function lengthOf(bytes: Buffer): number {
  const end = bytes.indexOf('\r\n\r\n') + 4;
  const length = /\r\ncontent-length: *([0-9]+)/i.exec(bytes.toString('latin1', 0, end))?.[1];
  return length === undefined ? Number.POSITIVE_INFINITY : end + Number(length);
}

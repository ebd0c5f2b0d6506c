/**
 * Duty: puts an answer of the sandbox on the wire, rightly or with the fault that was asked for.
 * In → Out: answer, fault → bytes.
 * Holds: an answer of one piece has a Content-Length, one of more is chunked with pauses; a client that goes away
 *   ends the stream.
 */
import type { ServerResponse } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import type { Fault } from './faults.ts';
import type { SandboxAnswer, SandboxRequest } from './message.ts';

/** Resolves when the last byte is handed to the socket, or the client is gone. */
export async function sendAnswer(
  response: ServerResponse,
  answer: SandboxAnswer,
  pauseMs: number,
  fault: Fault | null,
): Promise<void> {
  if (fault === 'early-hints') response.writeEarlyHints({ link: '</style.css>; rel=preload' });
  let pieces = answer.pieces;
  const headers = answer.headers.flat();
  if (fault === 'gzip') {
    pieces = [gzipSync(Buffer.concat(pieces))];
    headers.push('content-encoding', 'gzip');
  }
  const single = pieces.length === 1 ? pieces[0] : undefined;
  const given = answer.headers.some(([name]) => name === 'content-length');
  if (single !== undefined && !given) headers.push('content-length', `${single.length}`);
  if (pieces.length === 0 && !given && answer.status !== 204) headers.push('content-length', '0');
  response.writeHead(answer.status, headers);
  if (fault === 'truncate' || fault === 'stall-body') {
    const half = Buffer.concat(pieces);
    response.write(half.subarray(0, half.length >> 1), () => {
      if (fault === 'truncate') response.destroy();
    });
    return;
  }
  if (single !== undefined || pieces.length === 0) {
    response.end(single);
    return;
  }
  for (const piece of pieces) {
    if (response.destroyed) return;
    response.write(piece);
    await pause(pauseMs);
  }
  response.end();
}

/** Returns the status that was sent, 0 for none. */
export function sendFault(response: ServerResponse, request: SandboxRequest, fault: Fault): number {
  if (fault === 'stall') return 0;
  if (fault === 'garbage') {
    response.socket?.end('220 not what you expected\r\n\r\n');
    return 0;
  }
  if (fault === 'echo' || fault === 'echo-trailer') return sendEcho(response, request, fault);
  const colon = fault.indexOf(':');
  const kind = fault.slice(0, colon);
  if (kind === 'redirect') {
    response.writeHead(307, { location: fault.slice(colon + 1), 'content-length': 0 }).end();
    return 307;
  }
  const digits = fault.slice(colon + 1);
  if ((kind !== 'status' && kind !== 'early') || !/^[2-5][0-9]{2}$/.test(digits)) {
    response.destroy(); // `reset`
    return 0;
  }
  if (kind === 'early') response.setHeader('connection', 'close');
  const body = Buffer.from(JSON.stringify({ error: { message: `the sandbox was asked to answer ${digits}` } }));
  response.writeHead(Number(digits), { 'content-type': 'application/json', 'content-length': body.length }).end(body);
  return Number(digits);
}

function sendEcho(response: ServerResponse, request: SandboxRequest, fault: 'echo' | 'echo-trailer'): number {
  const carried = request.headers.get('authorization') ?? request.headers.get('x-api-key') ?? '';
  const headers = [...request.headers].map(({ name, value }) => [name, value]);
  const body = Buffer.from(JSON.stringify({ target: request.target, headers, body: request.body.toString('latin1') }));
  const fields: Record<string, string> = { 'content-type': 'application/json' };
  if (fault === 'echo') fields['x-echo-authorization'] = carried;
  else fields['trailer'] = 'x-echo-authorization';
  response.writeHead(200, fields);
  response.write(body);
  if (fault === 'echo-trailer') response.addTrailers({ 'x-echo-authorization': carried });
  response.end();
  return 200;
}

/**
 * Duty: git's own server over https, for whoever shows a password.
 * Source: git-http-backend(1), RFC 3875 (CGI).
 */
import { spawn } from 'node:child_process';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { Pair } from '../../wire/upstream-world.ts';
import { GIT_ENVIRONMENT } from './prepare.ts';

export interface GitServer {
  readonly server: Server;
  /** Authorization of each request; '' where there was none. */
  readonly shown: string[];
}

/** Of the bare repositories in `folder`. */
export function openGitServer(pair: Pair, folder: string): GitServer {
  const shown: string[] = [];
  const server = createServer(pair, (request, response) => {
    const { authorization = '' } = request.headers;
    shown.push(authorization);
    if (authorization.startsWith('Basic ')) answerByGit(folder, request, response);
    else response.writeHead(401, { 'www-authenticate': 'Basic realm="git"' }).end();
  });
  return { server, shown };
}

function answerByGit(folder: string, request: IncomingMessage, response: ServerResponse): void {
  const { pathname, search } = new URL(request.url ?? '/', 'https://git.test');
  const fields = request.headers;
  const backend = spawn('git', ['http-backend'], {
    env: {
      ...GIT_ENVIRONMENT,
      PATH: process.env['PATH'] ?? '',
      GIT_PROJECT_ROOT: folder,
      GIT_HTTP_EXPORT_ALL: '1',
      REQUEST_METHOD: request.method ?? '',
      PATH_INFO: pathname,
      QUERY_STRING: search.slice(1),
      CONTENT_TYPE: fields['content-type'] ?? '',
      HTTP_CONTENT_ENCODING: String(fields['content-encoding'] ?? ''),
      GIT_PROTOCOL: String(fields['git-protocol'] ?? ''),
      REMOTE_USER: 'agent',
      REMOTE_ADDR: '127.0.0.1',
      ...(fields['content-length'] === undefined ? {} : { CONTENT_LENGTH: fields['content-length'] }),
    },
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  // It may answer before it has read everything.
  backend.stdin.on('error', () => {});
  request.pipe(backend.stdin);
  const chunks: Buffer[] = [];
  backend.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
  backend.once('close', () => {
    const bytes = Buffer.concat(chunks);
    const end = bytes.indexOf('\r\n\r\n');
    const head = bytes.toString('latin1', 0, end).split('\r\n');
    const pairs = head.map((line): [string, string] => {
      const colon = line.indexOf(':');
      return [line.slice(0, colon), line.slice(colon + 1).trim()];
    });
    const status = pairs.find(([name]) => name === 'Status')?.[1] ?? '200';
    response.writeHead(Number.parseInt(status, 10), Object.fromEntries(pairs.filter(([name]) => name !== 'Status')));
    response.end(bytes.subarray(end + 4));
  });
}

/**
 * Duty: nginx as a candidate and as the upstream of short answers.
 * Holds: the candidate does the nearest thing that nginx can: terminate TLS, set a static Authorization field, call the verified
 *   upstream over kept-alive TLS. Neither bodies nor answers are buffered, as in the proxy that it is compared with. TLS 1.2
 *   and 1.3 on both legs, no session is resumed on any.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Room, Running } from '../room/room.ts';
import { type Candidate, HOST, trusting } from './candidate.ts';

const MAX_CONNECTIONS = 24_000;
const TLS = 'ssl_protocols TLSv1.2 TLSv1.3; ssl_session_tickets off; ssl_session_cache off;';
const INJECTED = 'Bearer sk-static-key-of-the-benchmark-0123456789abcdef';

/** 1 KB of JSON on every path, but the Authorization field that it received on `/authorization`. */
export function startJsonUpstream(room: Room, port: number): Promise<Running> {
  const json = JSON.stringify({ object: 'bench', padding: 'x'.repeat(990) });
  const server = `server { listen 127.0.0.1:${port} ssl backlog=4096; ${certificate(room)}
    location / { default_type application/json; return 200 '${json}'; }
    location = /authorization { default_type text/plain; return 200 '$http_authorization'; } }`;
  return start(room, 'upstream', room.cores.upstream, port, server);
}

export async function startNginx(room: Room, port: number, upstreamPort: number): Promise<Candidate> {
  const server = `upstream api { server 127.0.0.1:${upstreamPort}; keepalive 512; keepalive_requests 1000000; keepalive_timeout 300s; }
    server { listen 127.0.0.1:${port} ssl backlog=4096; ${certificate(room)} client_max_body_size 0; location / {
      proxy_pass https://api; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host ${HOST};
      proxy_set_header Authorization "${INJECTED}";
      proxy_buffering off; proxy_request_buffering off; proxy_read_timeout 1h;
      proxy_ssl_protocols TLSv1.2 TLSv1.3; proxy_ssl_session_reuse off;
      proxy_ssl_verify on; proxy_ssl_trusted_certificate ${room.certificate.file}; proxy_ssl_name ${HOST}; proxy_ssl_server_name on;
    } }`;
  const process = await start(room, 'nginx', room.cores.candidate, port, server);
  const context = trusting(room.certificate.pem);
  const way = { port, tunnel: null, serverName: HOST, authority: HOST, context };
  return { name: 'nginx', process, way, stop: () => process.stop() };
}

const certificate = (room: Room): string =>
  `ssl_certificate ${room.certificate.file}; ssl_certificate_key ${room.certificate.key}; ${TLS}`;

function start(room: Room, name: string, core: number, port: number, http: string): Promise<Running> {
  const path = (ending: string): string => join(room.folder, `${name}${ending}`);
  const folders = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((each) => `${each}_temp_path ${path(`-${each}`)};`)
    .join(' ');
  const text = `worker_processes 1; worker_rlimit_nofile ${MAX_CONNECTIONS}; daemon off; pid ${path('.pid')}; error_log stderr crit;
    events { worker_connections ${MAX_CONNECTIONS}; }
    http { access_log off; keepalive_requests 1000000; keepalive_timeout 300s; ${folders} ${http} }`;
  writeFileSync(path('.conf'), text);
  return room.start({ name, core, command: 'nginx', args: ['-c', path('.conf'), '-p', room.folder], port });
}

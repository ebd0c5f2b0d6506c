/**
 * Duty: squid as a candidate: an explicit proxy that opens TLS with a CA of its own and adds a header field by rule.
 * Holds: nothing is cached or logged; certificates are made once a host and then come from memory; the upstream is verified.
 * Source: squid.conf.documented of 5.7: ssl_bump, sslcrtd_program, request_header_add, tls_outgoing_options.
 * Not here: `cache_peer … originserver`: squid 5.7 sends `Connection: close` to such a peer for every bumped request, and a
 *   handshake with the upstream a request would flatter us. So the name resolves to 127.0.0.1 and CONNECT names the port.
 */
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeAuthority } from '../room/certificates.ts';
import type { Room } from '../room/room.ts';
import { type Candidate, HOST, trusting } from './candidate.ts';

/** Debian; RHEL. */
const CERTGEN = ['/usr/lib/squid/security_file_certgen', '/usr/lib64/squid/security_file_certgen'];
const INJECTED = 'Bearer sk-static-key-of-the-benchmark-0123456789abcdef';
/** squid leaves root, and refuses to keep it. */
const USER = 'nobody';

export async function startSquid(room: Room, port: number, upstreamPort: number): Promise<Candidate> {
  const certgen = CERTGEN.find((path) => existsSync(path));
  if (certgen === undefined) {
    throw new Error(`squid is here but not its ${CERTGEN[0]}: apt-get install squid-openssl`);
  }
  const folder = join(room.folder, 'squid');
  mkdirSync(folder);
  const authority = makeAuthority(join(folder, 'ca'));
  const path = (name: string): string => join(folder, name);
  execFileSync(certgen, ['-c', '-s', path('certificates'), '-M', '4MB'], { stdio: 'ignore' });
  writeFileSync(path('hosts'), `127.0.0.1 ${HOST}\n`);
  writeFileSync(
    path('squid.conf'),
    `http_port 127.0.0.1:${port} ssl-bump tls-cert=${authority.file} tls-key=${authority.key} generate-host-certificates=on dynamic_cert_mem_cache_size=4MB
sslcrtd_program ${certgen} -s ${path('certificates')} -M 4MB
sslcrtd_children 1 startup=1 idle=1
ssl_bump bump all
tls_outgoing_options cafile=${room.certificate.file}
hosts_file ${path('hosts')}
host_verify_strict off
http_access allow all
request_header_access Authorization deny all
request_header_add Authorization "${INJECTED}" all
via off
forwarded_for delete
cache deny all
cache_mem 0
access_log none
cache_store_log none
cache_log ${path('cache.log')}
netdb_filename none
pid_filename ${path('squid.pid')}
coredump_dir ${folder}
cache_effective_user ${USER}
max_filedescriptors 8192
pconn_lifetime 1 hour
server_idle_pconn_timeout 5 minutes
shutdown_lifetime 0 seconds
pinger_enable off
visible_hostname bench
`,
  );
  if (process.getuid?.() === 0) {
    chmodSync(room.folder, 0o711);
    execFileSync('chown', ['-R', USER, folder], { stdio: 'ignore' });
  }
  const core = room.cores.candidate;
  const running = await room.start({
    name: 'squid',
    core,
    command: 'squid',
    args: ['-N', '-f', path('squid.conf')],
    port,
  });
  const target = `${HOST}:${upstreamPort}`;
  const way = {
    port,
    tunnel: { authority: target, authorization: null },
    serverName: HOST,
    authority: target,
    context: trusting(authority.pem),
  };
  return { name: 'squid', process: running, way, stop: () => running.stop() };
}

/**
 * Duty: identifies every connection by `process:*` and `unix:uid` selectors, and answers with how long that took.
 * In → Out: `attesting-listener.ts PORT UID` → of each connection the line `<µs> <workload or error code>`.
 */
import { createServer } from 'node:net';
import { parseAuthority } from '../../../src/core/authority.ts';
import { EgressError } from '../../../src/core/errors.ts';
import { systemClock } from '../../../src/system-clock.ts';
import { createAttestation } from '../../../src/workload/attestation.ts';
import { createWorkloadStage } from '../../../src/workload/identify.ts';
import { NO_ATTESTATION } from '../../../src/workload/options.ts';

const [port = '', uid = ''] = process.argv.slice(2);
const stage = createWorkloadStage({
  trustDomain: 'bench.example',
  placeholders: () => ({ apiKey: '', awsAccessKeyId: '', awsSecretAccessKey: '' }),
  instances: { find: () => null, isAlive: () => false },
  attestation: createAttestation(NO_ATTESTATION, { clock: systemClock, log: { info: () => {}, warn: () => {} } }),
  identities: () => [
    {
      name: 'client',
      workload: 'client',
      selectors: [
        { key: 'unix:uid', values: [uid] },
        { key: 'process:name', values: ['attest-client'] },
        { key: 'process:exe', values: [process.execPath] },
      ],
    },
  ],
  clock: systemClock,
});
const authority = parseAuthority('api.example:443');

createServer(async (socket) => {
  socket.on('error', () => {});
  const [remote, local] = [
    { address: socket.remoteAddress ?? '', port: socket.remotePort ?? 0 },
    { address: socket.localAddress ?? '', port: socket.localPort ?? 0 },
  ];
  const connection = { id: 'c', socket, way: 'explicit' as const, remote, local, acceptedAt: 0 };
  const began = performance.now();
  const name = await stage.identify({ connection, kind: 'connect', authority, proxyAuthorization: null }).then(
    (workload) => workload.name,
    (thrown: unknown) => (thrown instanceof EgressError ? thrown.code : String(thrown)),
  );
  socket.end(`${((performance.now() - began) * 1_000).toFixed(0)} ${name}\n`);
}).listen(Number(port), '127.0.0.1');

/**
 * Duty: the outer end of a jail's network, as `countersign run --jail` has it, without the jail. A process of its own.
 * In → Out: arguments port, URL of the proxy with a token → connections of 127.0.0.1 carried to the proxy.
 */
import { createServer } from 'node:net';
import { Relays } from '../../../src/jail/relays.ts';

const [port = '', proxyUrl = ''] = process.argv.slice(2);
const relays = new Relays({ proxyUrl, maxConnections: 1_024, dialTimeoutMs: 30_000, onRefused: () => {} });
const listening = createServer();
listening.listen({ port: Number(port), host: '127.0.0.1', backlog: 4_096 }, () => relays.toProxy(listening));
process.once('SIGTERM', () => process.exit(0));

/**
 * Duty: fresh connections, one after another, and what the listener says of each.
 * In → Out: `attest-client.ts PORT COUNT` → the lines of the listener on standard output.
 */
import { writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';

const [port, count] = process.argv.slice(2).map(Number);
writeFileSync('/proc/self/comm', 'attest-client');
for (let i = 0; i < (count ?? 0); i++) process.stdout.write(await text(connect(port ?? 0, '127.0.0.1')));

/**
 * Duty: programs that end, exec or fork between connecting and being identified are never taken for another.
 * Holds: `COUNTERSIGN_RACES=10000` runs so many; the suite runs some hundred.
 */
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EgressError } from '../../src/core/errors.ts';
import type { Connection } from '../../src/listener/connection.ts';
import { systemClock } from '../../src/system-clock.ts';
import { createAttestation } from '../../src/workload/attestation.ts';
import { createWorkloadStage } from '../../src/workload/identify.ts';
import { InstanceRegistry } from '../../src/workload/instances.ts';
import { NO_ATTESTATION } from '../../src/workload/options.ts';
import { rememberPlaceholders } from '../../src/workload/placeholders.ts';
import { Callers, tunnelOf } from '../unit/workload/callers.ts';

const RACES = Number(process.env['COUNTERSIGN_RACES'] ?? 500);
const RACER = fileURLToPath(new URL('identity-races.py', import.meta.url));
/** A quarter of the connections is looked at at once, the others so many `ms` later. */
const DELAYS_MS = [0, 0, 1, 3];

let callers: Callers;
beforeAll(async () => {
  callers = await Callers.open();
});
afterAll(() => callers.close());

describe(`${RACES} races`, () => {
  it('name the program that connected or nobody', { timeout: 60_000 + RACES * 50 }, async () => {
    const placeholdersOf = rememberPlaceholders(Buffer.alloc(32));
    const uid = String(process.getuid?.());
    const stage = createWorkloadStage({
      trustDomain: 'test.example',
      placeholders: (spiffeId, _name, instance) => placeholdersOf(spiffeId, instance),
      instances: new InstanceRegistry(systemClock),
      attestation: createAttestation(NO_ATTESTATION, { clock: systemClock, log: { info: () => {}, warn: () => {} } }),
      identities: () =>
        ['racer', 'sleep'].map((name) => ({
          name,
          workload: name,
          selectors: [
            { key: 'process:name' as const, values: [name] },
            { key: 'unix:uid' as const, values: [uid] },
          ],
        })),
      clock: systemClock,
    });
    const outcomes = new Map<string, number>();
    const asked: Promise<void>[] = [];
    const identify = async (connection: Connection, delayMs: number): Promise<void> => {
      let kind = '?';
      connection.socket.once('data', (bytes: Buffer) => {
        kind = bytes.toString('latin1', 0, 1);
      });
      if (delayMs > 0) await new Promise((resolve) => setTimeout(resolve, delayMs));
      const name = await stage.identify(tunnelOf(connection)).then(
        (workload) => workload.name,
        (thrown: unknown) => (thrown instanceof EgressError ? thrown.code : String(thrown)),
      );
      connection.socket.destroy();
      const outcome = `${kind} ${name}`;
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    };
    callers.onConnection = (connection) => {
      asked.push(identify(connection, DELAYS_MS[asked.length % DELAYS_MS.length] ?? 0));
    };
    const racer = callers.start('python3', [RACER, '{port}', String(RACES), '1']);
    const code = await new Promise((resolve) => racer.once('exit', resolve));
    await Promise.all(asked);
    const seen = [...outcomes].sort(([a], [b]) => (a < b ? -1 : 1));
    expect(code).toBe(0);
    expect(asked.length).toBe(RACES);
    expect(seen.filter(([outcome]) => !/ (?:racer|identity_required)$/.test(outcome))).toEqual([]);
    // Otherwise the above would hold for a proxy that knows nobody.
    expect(outcomes.get('e racer') ?? 0).toBeGreaterThan(RACES / 30);
    // An inheritable socket names no program, whoever holds it.
    expect(outcomes.get('a racer') ?? 0).toBe(0);
    if (process.env['COUNTERSIGN_RACES'] !== undefined)
      process.stdout.write(`${JSON.stringify(Object.fromEntries(seen))}\n`);
  });
});

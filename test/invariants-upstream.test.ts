/**
 * Duty: the invariants I7 to I9, between the proxy and its upstreams: what is dialled, what connections carry, what comes back.
 * Not here: the other nine (test/invariants.test.ts).
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseAuthority } from '../src/core/authority.ts';
import { parseIp } from '../src/core/ip-address.ts';
import { needlesOf } from '../src/injection/needles.ts';
import { createResponseStage } from '../src/response/filter.ts';
import { createResolver } from '../src/upstream/resolve.ts';
import { createUpstreamStage } from '../src/upstream/send.ts';
import { FakeClock } from './fakes/fake-clock.ts';
import { leaksIn } from './fakes/leak-search.ts';
import { credentialOf } from './unit/injection/materials.ts';
import { chunksBody, responseOf, textOf } from './unit/response/response-fixtures.ts';
import * as wire from './wire/upstream-world.ts';

const runs = (numRuns: number) => ({ numRuns });

describe('invariants', () => {
  it('I7: only a checked address is dialled: special ones never, in no embedding, and none beside a name’s public one', async () => {
    const quad = fc.tuple(
      fc.constantFrom(10, 127, 169, 172, 192, 100, 0, 224, 240),
      fc.nat(255),
      fc.nat(255),
      fc.nat(255),
    );
    const isSpecial = ([a, b]: readonly number[]): boolean =>
      a !== undefined &&
      b !== undefined &&
      (a === 0 ||
        a === 10 ||
        a === 127 ||
        a >= 224 ||
        (a === 169 && b === 254) ||
        (a === 172 && b >= 16 && b < 32) ||
        (a === 192 && b === 168) ||
        (a === 100 && b >= 64 && b < 128));
    const shapes = [
      (text: string) => text,
      (text: string) => `::ffff:${text}`,
      (text: string) => `::${text}`,
      (text: string) => `64:ff9b::${text}`,
    ];
    await fc.assert(
      fc.asyncProperty(quad, fc.constantFrom(...shapes), async (bytes, shape) => {
        const special = shape(bytes.join('.'));
        if (!isSpecial(bytes) || parseIp(special) === null) return;
        let lookups = 0;
        const lookup = async () => {
          lookups += 1;
          return { addresses: [special, '93.184.215.14'], ttlMs: 0 };
        };
        const resolver = createResolver(wire.optionsFor(1), { clock: new FakeClock(), lookup });
        const targets = await resolver.resolve(parseAuthority('api.example:443'));
        expect(targets.map(({ address }) => address)).toEqual(['93.184.215.14']);
        expect(lookups).toBe(1);
      }),
      runs(400),
    );
  });

  it('I8: no connection carries two workloads, two instances or two generations of a credential', async () => {
    const roots = new wire.TestCa('upstream roots');
    const server = await wire.rawServer(roots.leaf('DNS:api.test'), wire.answering(wire.OK));
    const options = wire.optionsFor(server.port, { extraRoots: [roots.cert] });
    const stage = createUpstreamStage(options, { clock: wire.clock, issuingCa: null });
    try {
      const whoever = fc.record({
        workload: fc.constantFrom('a', 'b'),
        instance: fc.constantFrom('i-1', 'i-2'),
        credentialKey: fc.constantFrom('lease-1', 'lease-2', null),
      });
      await fc.assert(
        fc.asyncProperty(fc.array(whoever, { minLength: 2, maxLength: 12 }), async (callers) => {
          for (const caller of callers) {
            const name = Object.values(caller).join('/');
            const { body } = await stage.send(wire.requestOf({ ...caller, headers: [['X-Who', name]] }), wire.never());
            await wire.textOf(body);
          }
        }),
        runs(6),
      );
      const users = server.received.map((text) => new Set(text.match(/X-Who: [^\r]+/g)));
      expect(users.filter(({ size }) => size > 1)).toEqual([]);
      // It would be empty praise if no connection had been used again.
      expect(server.received.some((text) => text.split('X-Who').length > 2)).toBe(true);
    } finally {
      stage.close();
      await server.close();
      roots.remove();
    }
  });

  it('I9: what an upstream repeats of a key, in whatever common encoding and however cut up, does not come through', async () => {
    const secret = fc.stringMatching(/^[A-Za-z0-9+/=_.-]{24,48}$/);
    const forms: readonly ((text: string) => string)[] = [
      (text) => text,
      (text) => Buffer.from(text).toString('base64'),
      (text) => Buffer.from(`user:${text}`).toString('base64'),
      (text) => Buffer.from(`x${text}y`).toString('base64url'),
      (text) => Buffer.from(text).toString('hex'),
      (text) => encodeURIComponent(text),
      (text) => JSON.stringify({ authorization: `Bearer ${text}` }),
    ];
    await fc.assert(
      fc.asyncProperty(secret, fc.constantFrom(...forms), fc.integer({ min: 1, max: 9 }), async (key, form, size) => {
        const needles = needlesOf(credentialOf({ key }));
        const bytes = Buffer.from(`before ${form(key)} after`);
        const chunks = Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) =>
          Buffer.from(bytes.subarray(i * size, (i + 1) * size)),
        );
        const headers = [['X-Echo', form(key)]] as const;
        const filtered = createResponseStage().filter(responseOf({ needles, headers, body: chunksBody(chunks) }));
        const seen = `${filtered.head.headers.get('x-echo')}\n${await textOf(filtered.body)}`;
        expect(leaksIn(seen, [key])).toEqual([]);
        expect(seen).toContain('before ');
        expect(seen).toContain(' after');
      }),
      runs(300),
    );
  });
});

/**
 * Duty: what must hold against a hostile workload, one named test for each of nine of the twelve invariants; properties where the
 *   input is the workload's to choose.
 * Not here: I7 to I9 (test/invariants-upstream.test.ts); each mechanism by itself (test/unit/, test/wire/); the whole way case by
 *   case (test/exchange/).
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseConfiguration } from '../src/config/parse.ts';
import { parseAuthority } from '../src/core/authority.ts';
import { PRESETS } from '../src/injection/presets/all.ts';
import { decide } from '../src/policy/decide.ts';
import { createUpstreamStage } from '../src/upstream/send.ts';
import { playbook, type World } from './exchange/playbook.ts';
import { POLICY } from './exchange/policy-text.ts';
import { workloadNamed } from './fakes/fake-trust-domain.ts';
import { headOf } from './unit/injection/materials.ts';
import { openSecure, openTunnelProxy } from './wire/tunnel-harness.ts';
import * as wire from './wire/upstream-world.ts';

const KEY = 'sk-live-Q7vT2mX9pLrW4nZs8KbD';
const runs = (numRuns: number) => ({ numRuns });
const keysSeen = (lines: readonly string[]): string[] => lines.filter((line) => line.includes(KEY));

/** A world in which Vault grants and the upstream answers everything. */
const servedBy = (script: (world: World) => Promise<void>): (() => Promise<void>) =>
  playbook(async (world) => {
    world.vault.grants({ api_key: KEY });
    world.upstream.answersAll(204);
    await script(world);
    world.audit.skips();
  });

describe('invariants', () => {
  it('I1: no credential byte leaves before the certificate is verified for the host of the policy, without our own CA', async () => {
    const roots = new wire.TestCa('upstream roots');
    const issuing = new wire.TestCa('our issuing CA');
    const wrong = [
      roots.leaf('DNS:other.test'),
      roots.leaf('IP:127.0.0.1'),
      roots.leaf('', { commonName: 'api.test' }),
      issuing.leaf('DNS:api.test'),
      new wire.TestCa('somebody').leaf('DNS:api.test'),
    ];
    try {
      for (const pair of [...wrong, roots.leaf('DNS:api.test')]) {
        const server = await wire.rawServer(pair, wire.answering(wire.OK));
        const options = wire.optionsFor(server.port, { extraRoots: [roots.cert] });
        const stage = createUpstreamStage(options, { clock: wire.clock, issuingCa: issuing.cert });
        const sent = stage.send(wire.requestOf(), wire.never());
        if (wrong.includes(pair)) {
          await expect(sent).rejects.toMatchObject({ code: 'tls_certificate_error' });
          expect(server.received.join('')).toBe('');
        } else {
          expect((await sent).head.status).toBe(200);
          expect(server.received.join('')).toContain(wire.SECRET);
        }
        stage.close();
        await server.close();
      }
    } finally {
      roots.remove();
      issuing.remove();
    }
  });

  it(
    'I2: CONNECT target = Host, on every request, whatever the spelling',
    servedBy(async ({ workload, upstream }) => {
      const spelling = fc.constantFrom('api.openai.com', 'API.OpenAI.com', 'api.openai.com.', 'open.example.net', 'a');
      const port = fc.constantFrom('', ':443', ':0443', ':80', ':443 ', ':');
      await fc.assert(
        fc.asyncProperty(fc.tuple(spelling, port), fc.tuple(spelling, port), async (first, second) => {
          const sent = upstream.arrivals.length;
          await workload.opens('api.openai.com:443');
          const isSame = ([host, tail]: readonly [string, string]): boolean =>
            host.toLowerCase().replace(/\.$/, '') === 'api.openai.com' && ['', ':443', ':443 '].includes(tail);
          for (const [index, each] of [first, second].entries()) {
            const status = await workload.asks('GET /v1/models', `Host: ${each.join('')}`);
            if (isSame(each)) {
              expect(status).toBe(204);
              continue;
            }
            expect([400, 421]).toContain(status);
            expect(upstream.arrivals.length).toBe(sent + index);
            return;
          }
        }),
        runs(60),
      );
    }),
  );

  it('I2: … and = the server name of the TLS handshake', async () => {
    const proxy = await openTunnelProxy();
    try {
      await expect(openSecure(proxy, 'api.test:443', 'other.test')).rejects.toThrow();
      await expect.poll(() => proxy.sink.lines.at(-1)).toMatchObject({ kind: 'refusal', code: 'authority_mismatch' });
      for (const name of ['api.test', 'API.test']) (await openSecure(proxy, 'api.test:443', name)).destroy();
      expect(proxy.seen).toEqual([]);
    } finally {
      await proxy.close();
    }
  });

  it('I3: enforcement covers injection: whoever gets a binding was allowed, by a rule, at an address of its Service', () => {
    const { policy } = parseConfiguration([{ name: 'p', text: POLICY }], { presets: PRESETS });
    const host = fc.constantFrom(
      'api.openai.com',
      'api.openai.com',
      'api.openai.com',
      'api.openai.com.evil.test',
      'evil.api.openai.com',
      'eu.api.openai.com',
      'open.example.net',
      'sts.us-east-1.amazonaws.com',
    );
    const path = fc.constantFrom(
      '/v1/models',
      '/v1/files',
      '/v1/../x',
      '/v2',
      '/',
      '/v1/organization/keys',
      '//v1/models',
      '/V1/x',
    );
    const method = fc.constantFrom('GET', 'POST', 'PUT', 'DELETE', 'get', 'PATCH');
    const port = fc.constantFrom(443, 443, 443, 80, 8443);
    let granted = 0;
    fc.assert(
      fc.property(
        host,
        port,
        method,
        path,
        fc.constantFrom('https', 'https', 'http'),
        (name, number, verb, target, scheme) => {
          const authority = parseAuthority(`${name}:${number}`);
          const workload = workloadNamed('agent');
          const permit = decide({
            revision: policy,
            workload,
            authority,
            scheme: scheme as 'https',
            head: headOf(verb, target, [['Host', name]]),
            form: null,
          });
          if (permit.kind === 'denial' || permit.facts.binding === null) return;
          granted += 1;
          const { binding, service, rule } = permit.facts;
          expect([scheme, number]).toEqual(['https', 443]);
          expect(binding.services).toContain(service.name);
          expect(service.addresses.some((address) => 'host' in address && address.host === name)).toBe(true);
          expect(rule).toBe('agents/1');
          expect(['GET', 'POST']).toContain(verb);
          expect(target).toMatch(/^\/v1\/[a-z]+$/);
        },
      ),
      runs(2_000),
    );
    expect(granted).toBeGreaterThan(5);
  });

  it(
    'I4: what was decided on is what is sent: the target to the byte, and no field that the head did not have',
    servedBy(async ({ workload, upstream }) => {
      const characters = [...'abcXYZ019-._~!$&\'()*+,;=:@/%?#\\ \t"<>[]^`{|}'];
      const tail = fc.string({ unit: fc.constantFrom(...characters), maxLength: 12 });
      const field = fc.record({
        name: fc.stringMatching(/^X-[A-Za-z0-9]{1,8}$/),
        value: fc.stringMatching(/^[!-~]{1,12}$/),
      });
      await fc.assert(
        fc.asyncProperty(tail, fc.array(field, { maxLength: 3 }), async (text, fields) => {
          const before = upstream.arrivals.length;
          await workload.opens('api.openai.com:443');
          const lines = fields.map(({ name, value }) => `${name}: ${value}`);
          const status = await workload.asks(`GET /v1/${text}`, ...lines);
          const arrived = upstream.arrivals.slice(before);
          expect(arrived).toHaveLength(status === 204 ? 1 : 0);
          if (status !== 204) {
            expect([400, 403, 505]).toContain(status);
            return;
          }
          const [head = '', ...rest] = arrived[0]?.lines ?? [];
          expect(head).toBe(`GET /v1/${text} HTTP/1.1`);
          const own = ['Host: api.openai.com', 'Accept-Encoding: identity', `Authorization: Bearer ${KEY}`];
          expect(rest.filter((line) => !own.includes(line) && !lines.includes(line))).toEqual([]);
        }),
        runs(150),
      );
    }),
  );

  it(
    'I5: identity, policy and credential are those of the request’s own moment, also for the nth on a tunnel',
    servedBy(async ({ workload, upstream, vault, clock, reload }) => {
      const step = fc.constantFrom('ask', 'forbid', 'allow', 'rotate');
      await fc.assert(
        fc.asyncProperty(fc.array(step, { minLength: 3, maxLength: 8 }), async (steps) => {
          await workload.opens('api.openai.com:443');
          let isAllowed = true;
          let key = KEY;
          vault.grants({ api_key: key }, 60_000);
          await clock.advance(120_000);
          for (const each of steps) {
            if (each === 'forbid') reload((text) => text.replace('paths: [/v1/**]', 'paths: [/v9/**]'));
            if (each === 'allow') reload((text) => text.replace('paths: [/v9/**]', 'paths: [/v1/**]'));
            if (each !== 'ask' && each !== 'rotate') isAllowed = each === 'allow';
            if (each === 'rotate') {
              key = `${KEY}-${vault.asked.length}`;
              vault.grants({ api_key: key }, 60_000);
              await clock.advance(120_000);
            }
            const sent = upstream.arrivals.length;
            expect(await workload.asks('GET /v1/models')).toBe(isAllowed ? 204 : 403);
            expect(upstream.arrivals.length - sent).toBe(isAllowed ? 1 : 0);
            if (isAllowed) expect(upstream.arrivals.at(-1)?.lines).toContain(`Authorization: Bearer ${key}`);
          }
          reload((text) => text.replace('paths: [/v9/**]', 'paths: [/v1/**]'));
        }),
        runs(10),
      );
    }),
  );

  it(
    'I6: the key goes to its host, port, methods, paths and slot, and nowhere else',
    servedBy(async ({ workload, upstream }) => {
      const tunnel = fc.constantFrom('api.openai.com:443', 'open.example.net:443', 'sts.us-east-1.amazonaws.com:443');
      const method = fc.constantFrom('GET', 'POST', 'PUT', 'HEAD', 'OPTIONS', 'TRACE');
      const path = fc.constantFrom('/v1/models', '/', '/v2/x', '/v1/chat/completions', '/v1/organization/projects');
      const slot = fc.constantFrom(
        'Authorization: Basic eDp5',
        'authorization: token x',
        'X-Api-Key: y',
        'Cookie: a=b',
      );
      await fc.assert(
        fc.asyncProperty(tunnel, method, path, fc.array(slot, { maxLength: 2 }), async (to, verb, target, slots) => {
          const before = upstream.arrivals.length;
          await workload.opens(to);
          await workload.asks(`${verb} ${target}`, ...slots);
          for (const { lines, request } of upstream.arrivals.slice(before)) {
            const holding = keysSeen(lines);
            const isItsOwn = to.startsWith('api.') && ['GET', 'POST'].includes(verb) && target.startsWith('/v1/');
            expect(holding).toEqual(isItsOwn ? [`Authorization: Bearer ${KEY}`] : []);
            expect(request.permit.facts.authority.text).toBe(to);
            if (isItsOwn) expect(lines.filter((line) => /^authorization:/i.test(line))).toEqual(holding);
          }
        }),
        runs(120),
      );
      expect(upstream.arrivals.some(({ lines }) => keysSeen(lines).length > 0)).toBe(true);
    }),
  );

  it('I10: what is acknowledged as recorded survives kill -9, so what left is on record', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'countersign-i10-'));
    const sink = fileURLToPath(new URL('../src/audit/sinks/file-sink.ts', import.meta.url));
    const script = `
      const { openFileSink } = await import(${JSON.stringify(sink)});
      const clock = { now: () => Date.now(), monotonicMs: () => performance.now(), schedule: () => ({ cancel() {} }) };
      const sink = openFileSink({ file: process.argv[1], maxPending: 1000 }, clock);
      const { writeSync } = await import('node:fs');
      for (let i = 0; ; i++) {
        await sink.write({ kind: 'intent', exchange: 'x' + i });
        writeSync(1, 'x' + i + '\\n');
      }`;
    try {
      for (const afterLines of [1, 40, 400]) {
        const file = join(folder, `${afterLines}.jsonl`);
        const child = spawn(process.execPath, ['--input-type=module', '-e', script, file]);
        let left = '';
        child.stdout.on('data', (bytes: Buffer) => {
          left += bytes;
          if (left.split('\n').length > afterLines) child.kill('SIGKILL');
        });
        const signal = await new Promise((resolve) => child.once('close', (_code, by) => resolve(by)));
        expect(signal).toBe('SIGKILL');
        const recorded = new Set(readFileSync(file, 'utf8').match(/"exchange":"x\d+"/g));
        const missing = left
          .split('\n')
          .slice(0, -1)
          .filter((id) => !recorded.has(`"exchange":"${id}"`));
        expect(missing).toEqual([]);
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it(
    'I11: in doubt it refuses: no key, no policy, no workload, no lease, no record, no parse',
    playbook(async ({ workload, upstream, vault, audit, clock, forgetInstance }) => {
      upstream.answersAll(204);
      const load = (text: string) => () => parseConfiguration([{ name: 'p', text }], { presets: PRESETS });
      for (const broken of ['kind: {', `${POLICY}---\nx: 1\n`, POLICY.replace('action: deny', 'acton: deny'), '\u0000'])
        expect(load(broken)).toThrow(/p:[0-9]+:[0-9]+/);
      vault.grants({ api_key: KEY }, 60_000);
      audit.dies();
      await workload.opens('api.openai.com:443');
      expect(await workload.asks('GET /v1/models')).toBe(503);
      audit.recovers();
      vault.isDown();
      await clock.advance(120_000);
      expect(await workload.asks('GET /v1/models')).toBe(503);
      expect(await workload.asks('GET /v1/models', 'Transfer-Encoding: gzip')).toBeGreaterThanOrEqual(400);
      forgetInstance();
      await workload.isRefused('api.openai.com:443', 407, '');
      await upstream.seesNothing();
      audit.skips();
    }),
  );

  it(
    'I12: nothing that the workload sends changes who it is, for whom it is billed, or what is recorded of it',
    servedBy(async ({ workload, upstream, vault, audit }) => {
      const names = [
        'X-Forwarded-User',
        'X-Forwarded-For',
        'X-Forwarded-Client-Cert',
        'Forwarded',
        'Proxy-Authorization',
        'X-Vault-Token',
        'X-Vault-Namespace',
        'X-Spiffe-Id',
        'OpenAI-Organization',
        'openai_project',
        'X-Amz-Date',
        'X-Amz-Security-Token',
      ];
      const field = fc.tuple(
        fc.constantFrom(...names),
        fc.constantFrom('admin', 'Basic YTpi', 'for=1.2.3.4', 'org-victim'),
      );
      await fc.assert(
        fc.asyncProperty(fc.array(field, { minLength: 1, maxLength: 5 }), async (fields) => {
          await workload.opens('api.openai.com:443');
          const status = await workload.asks('GET /v1/models', ...fields.map((pair) => pair.join(': ')));
          expect([204, 400]).toContain(status);
          if (status === 400) return;
          const intent = audit.lines.findLast((line) => line['kind'] === 'intent');
          expect(intent).toMatchObject({
            spiffeId: workload.identity.spiffeId.uri,
            instance: workload.identity.instance,
            evidence: ['token:instance'],
          });
          const sent = upstream.arrivals.at(-1)?.lines.join('\n') ?? '';
          expect(sent).not.toMatch(/^(?:x-forwarded-|forwarded|proxy-|openai[-_](?:organization|project))/im);
        }),
        runs(100),
      );
      expect(vault.asked.filter((call) => call.startsWith('login'))).toEqual([
        'login openai with a JWT of spiffe://test.example/agent',
      ]);
    }),
  );
});

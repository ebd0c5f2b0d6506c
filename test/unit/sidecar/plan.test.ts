import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { iptablesRules } from '../../../src/sidecar/iptables-rules.ts';
import { nftRules } from '../../../src/sidecar/nft-rules.ts';
import { parseNetwork, parsePortNumber, parseUid, type RedirectPlan } from '../../../src/sidecar/plan.ts';

const PLAN: RedirectPlan = {
  proxyPort: 15_001,
  proxyUid: 1337,
  ports: [80, 443],
  exemptPorts: [],
  exempt: [],
  dns: 'keep',
  refusesOthers: true,
};
const net = (text: string) => parseNetwork(text) ?? expect.fail(text);

describe('a network', () => {
  it.each([
    ['10.1.2.3/8', 4, '10.0.0.0/8'],
    ['10.1.2.3', 4, '10.1.2.3/32'],
    ['255.255.255.255/17', 4, '255.255.128.0/17'],
    ['1.2.3.4/0', 4, '0.0.0.0/0'],
    ['fd00:1::5/32', 6, 'fd00:1::/32'],
    ['::1', 6, '::1/128'],
  ])('%s is read', (text, family, canonical) => {
    expect(parseNetwork(text)).toEqual({ family, text: canonical });
  });

  it.each([
    '10.0.0.0/33',
    '10.0.0.0/-1',
    '10.0.0/8',
    '300.1.1.1/8',
    'fd00::/129',
    'example.org/8',
    '',
    '/8',
    '1.2.3.4/8; drop',
  ])('%s is none', (text) => {
    expect(parseNetwork(text)).toBeNull();
  });
});

it('ports and users are whole numbers in their ranges', () => {
  expect(['0', '1', '65535', '65536', '08', '-1', '1e3', ' 1'].map(parsePortNumber)).toEqual([
    ...[null, 1, 65_535, null, null, null, null, null],
  ]);
  expect(['0', '4294967294', '4294967295', 'root', ''].map(parseUid)).toEqual([0, 4_294_967_294, null, null, null]);
});

describe('the rules', () => {
  it('let the proxy, loopback and what is exempt pass before they redirect and refuse', () => {
    const text = nftRules({ ...PLAN, exempt: [net('10.0.0.0/8'), net('fd00::/8')], exemptPorts: [5432] });
    const [redirect = '', guard = ''] = text.split('chain guard');
    const order = [
      'skuid 1337 return',
      'oif lo return',
      'ip daddr 127.0.0.0/8 return',
      'ip daddr { 10.0.0.0/8 } return',
      'ip6 daddr { fd00::/8 } return',
      'tcp dport { 5432 } return',
      'redirect to :15001',
    ];
    expect(order.map((rule) => redirect.indexOf(rule)).every((at, i, all) => at > (all[i - 1] ?? 0))).toBe(true);
    expect(guard.trim().split('\n').slice(-3)).toEqual(['    reject with icmpx admin-prohibited', '  }', '}']);
  });

  it('capture names before any exemption, or refuse them', () => {
    const exempt = [net('10.0.0.0/8')];
    const captured = nftRules({ ...PLAN, exempt, dns: 15_053 });
    expect(captured.indexOf('dport 53 redirect to :15053')).toBeLessThan(captured.indexOf('10.0.0.0/8'));
    expect(captured).not.toContain('dport 53 accept');
    const dropped = iptablesRules({ ...PLAN, exempt, dns: 'drop' }, 4, []);
    const guard = dropped.slice(dropped.indexOf('*filter'));
    expect(guard.indexOf('--dport 53 -j REJECT')).toBeLessThan(guard.indexOf('10.0.0.0/8'));
  });

  it('leave all but QUIC alone where others are allowed', () => {
    const text = nftRules({ ...PLAN, refusesOthers: false });
    expect(text.match(/reject/g)).toHaveLength(1);
    expect(text).toContain('udp dport 443 reject');
    expect(iptablesRules({ ...PLAN, refusesOthers: false }, 6, []).match(/REJECT/g)).toHaveLength(1);
  });

  it('jump to the chains of iptables once, and take as many ports as a match does', () => {
    const ports = Array.from({ length: 31 }, (_, i) => 8_000 + i);
    const first = iptablesRules({ ...PLAN, ports }, 4, ['nat', 'filter']);
    expect(first.match(/-I OUTPUT 1/g)).toHaveLength(2);
    expect(first.match(/--dports [0-9,]+ -j REDIRECT/g)).toHaveLength(3);
    expect(iptablesRules(PLAN, 4, [])).not.toContain('OUTPUT');
  });

  it('never let a network of the other family in', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.oneof(
            fc.ipV4().map((ip) => `${ip}/24`),
            fc.ipV6().map((ip) => `${ip}/64`),
          ),
        ),
        (texts) => {
          const exempt = texts.flatMap((text) => parseNetwork(text) ?? []);
          expect(iptablesRules({ ...PLAN, exempt }, 4, []).includes('::')).toBe(false);
          const v6 = iptablesRules({ ...PLAN, exempt }, 6, []).match(/-d \S+/g) ?? [];
          expect(v6.every((network) => network.includes(':'))).toBe(true);
        },
      ),
    );
  });
});

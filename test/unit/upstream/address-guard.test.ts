import { describe, expect, it } from 'vitest';
import { parseHost } from '../../../src/core/authority.ts';
import { parseIp } from '../../../src/core/ip-address.ts';
import { checkAddress } from '../../../src/upstream/address-guard.ts';

const bytes = (text: string): Uint8Array => {
  const parsed = parseIp(text);
  if (parsed === null) throw new Error(`not an address: ${text}`);
  return parsed;
};
const network = (text: string) => {
  const [address = '', prefix = ''] = text.split('/');
  return { network: bytes(address), prefix: Number(prefix) };
};
const verdict = (text: string, ...allowed: string[]) =>
  checkAddress(bytes(text), { allowedNetworks: allowed.map(network) });

const hex = (quad: string): string => {
  const [a = 0, b = 0, c = 0, d = 0] = bytes(quad);
  return `${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
};

/** Every way in which an IPv6 address can carry an IPv4 one. */
const embeddings = (quad: string): string[] => {
  const [a = 0, b = 0, c = 0, d = 0] = bytes(quad);
  const h = hex(quad);
  const two = (x: number, y: number) => ((x << 8) | y).toString(16);
  return [
    `::ffff:${quad}`,
    `::${quad}`,
    `::ffff:0:${quad}`,
    `64:ff9b::${quad}`,
    `64:ff9b:1::${quad}`,
    `64:ff9b:1:${two(a, b)}:${two(0, c)}:${two(d, 0)}::`,
    `64:ff9b:1:${two(0, a)}:${two(0, b)}:${two(c, d)}::`,
    `64:ff9b:1:0:${two(0, a)}:${two(b, c)}:${two(d, 0)}:0`,
    `2002:${h}::`,
    `2002:${h}::1`,
    `2001:0:${h}::`,
    `2001:0:808:808:0:0:${two(a ^ 255, b ^ 255)}:${two(c ^ 255, d ^ 255)}`,
    `2606:4700::5efe:${quad}`,
    `2606:4700::200:5efe:${quad}`,
  ];
};

describe('address guard', () => {
  it.each([
    '8.8.8.8',
    '1.1.1.1',
    '9.255.255.255',
    '11.0.0.0',
    '100.63.255.255',
    '100.128.0.0',
    '126.255.255.255',
    '128.0.0.0',
    '169.253.255.255',
    '169.255.0.0',
    '172.15.255.255',
    '172.32.0.0',
    '192.0.1.0',
    '192.167.255.255',
    '192.169.0.0',
    '198.17.255.255',
    '198.20.0.0',
    '223.255.255.255',
    '168.63.129.15',
    '2606:4700::1111',
    '2a00:1450:4001::200e',
    '2001:200::1',
    '2001:4860:4860::8888',
    '3ffe::1',
    '::ffff:8.8.8.8',
    '64:ff9b::8.8.8.8',
    '2606:4700::5efe:8.8.8.8',
  ])('lets public address %s pass', (text) => {
    expect(verdict(text)).toBe('public');
  });

  it.each([
    '0.0.0.0',
    '0.1.2.3',
    '10.0.0.1',
    '100.64.0.1',
    '100.127.255.255',
    '127.0.0.1',
    '127.255.255.254',
    '172.16.0.1',
    '172.31.255.255',
    '192.0.0.1',
    '192.0.2.1',
    '192.31.196.1',
    '192.52.193.1',
    '192.88.99.1',
    '192.168.0.1',
    '192.175.48.1',
    '198.18.0.1',
    '198.19.255.255',
    '198.51.100.1',
    '203.0.113.1',
    '224.0.0.1',
    '239.255.255.255',
    '240.0.0.1',
    '255.255.255.255',
    '::',
    '::1',
    '::2',
    '100::1',
    '100:0:0:1::1',
    '64:ff9b:1::1',
    '1000::1',
    '2001::1',
    '2001:2::1',
    '2001:3::1',
    '2001:4:112::1',
    '2001:10::1',
    '2001:20::1',
    '2001:30::1',
    '2001:db8::1',
    '2002::1',
    '2620:4f:8000::1',
    '3fff::1',
    '4000::1',
    '5f00::1',
    'fc00::1',
    'fd12:3456::1',
    'fec0::1',
    'ff02::1',
  ])('refuses special address %s', (text) => {
    expect(verdict(text)).toBe('prohibited');
  });

  it.each(['10.0.0.1', '127.0.0.1', '192.168.1.1', '169.254.169.254', '168.63.129.16', '100.100.100.200', '224.0.0.1'])(
    'refuses %s inside of every kind of IPv6 address',
    (quad) => {
      for (const text of embeddings(quad)) expect([text, verdict(text)]).toEqual([text, 'prohibited']);
    },
  );

  it.each([
    '169.254.169.254',
    '169.254.170.2',
    '168.63.129.16',
    '100.100.100.200',
    '192.0.0.192',
    'fe80::1',
    'fe80::a9fe:a9fe',
    'fd00:ec2::254',
    'fd00:ec2::23',
    'fd20:ce::254',
    'fd00:42::42',
  ])('lets nobody allow link-local and metadata address %s', (text) => {
    const all = ['0.0.0.0/0', '::/0', `${text}/${text.includes(':') ? 128 : 32}`];
    expect(verdict(text, ...all)).toBe('prohibited');
  });

  it('lets nobody allow a metadata address by wrapping it', () => {
    for (const text of embeddings('169.254.169.254')) {
      expect([text, verdict(text, '0.0.0.0/0', '::/0')]).toEqual([text, 'prohibited']);
    }
  });

  it('allows a special range that is listed, and no address beside it', () => {
    expect(verdict('10.1.2.3', '10.1.0.0/16')).toBe('allowed');
    expect(verdict('10.2.0.1', '10.1.0.0/16')).toBe('prohibited');
    expect(verdict('127.0.0.1', '127.0.0.1/32')).toBe('allowed');
    expect(verdict('127.0.0.2', '127.0.0.1/32')).toBe('prohibited');
    expect(verdict('::1', '::1/128')).toBe('allowed');
    expect(verdict('fd12::1', 'fd12::/16')).toBe('allowed');
    expect(verdict('172.16.255.255', '172.16.0.0/15')).toBe('allowed');
    expect(verdict('172.18.0.0', '172.16.0.0/15')).toBe('prohibited');
  });

  it('takes mapped text for the IPv4 address or network that it is', () => {
    expect(verdict('::ffff:10.1.2.3', '10.0.0.0/8')).toBe('allowed');
    expect(verdict('10.1.2.3', '::ffff:10.0.0.0/104')).toBe('allowed');
    expect(verdict('11.1.2.3', '::ffff:10.0.0.0/104')).toBe('public');
    expect(verdict('10.1.2.3', '::/0')).toBe('prohibited');
    expect(verdict('10.1.2.3', '::ffff:0.0.0.0/95')).toBe('prohibited');
  });

  it('wants both the outer and the inner address allowed', () => {
    expect(verdict('2002:a00:1::', '2002::/16')).toBe('prohibited');
    expect(verdict('2002:a00:1::', '10.0.0.0/8')).toBe('prohibited');
    expect(verdict('2002:a00:1::', '2002::/16', '10.0.0.0/8')).toBe('allowed');
    expect(verdict('64:ff9b::10.0.0.1', '10.0.0.0/8')).toBe('allowed');
  });

  it('refuses anything that is not 4 or 16 bytes', () => {
    for (const length of [0, 3, 5, 15, 17]) {
      expect(checkAddress(new Uint8Array(length).fill(8), { allowedNetworks: [] })).toBe('prohibited');
    }
  });

  it('never gets to see the loose spellings: they are no host', () => {
    const spellings = [
      '0177.0.0.1', '0x7f.0.0.1', '0x7f000001', '2130706433', '017700000001', '127.1', '127.0.1', '127.0.0.1.', '127.00.0.1',
      '127.0.0.01', '127.0.0.256', '①②⑦.⓪.⓪.①', '１２７.0.0.1', '127。0。0。1', '[::ffff:127.0.0.1%eth0]', '[::1%1]', '[fe80::1%25lo]',
      '::1', '[::1', '::1]', '127.0.0.1%00', '0', '0x0', '00.0.0.0', '1.1.1.1.1', '1..1', '169.254.43518', '0xa9fea9fe',
      '169.16689662', '[::127.0.0.1.]', '[0:0:0:0:0:0:0:0:1]', '[:::1]', '127.0.0.1 ', ' 127.0.0.1', '127.0.0.1\0', 'a.0x7f',
    ]; // biome-ignore format: a table
    for (const text of spellings) {
      let seen: string | null = null;
      try {
        const host = parseHost(text);
        seen = host.kind === 'name' ? null : verdict(host.text);
        expect([text, host.kind]).not.toEqual([text, 'name']);
      } catch (error) {
        expect(error).toMatchObject({ code: 'authority_malformed' });
      }
      expect([text, seen]).not.toEqual([text, 'public']);
    }
  });
});

/**
 * Duty: the redirect rules as nftables reads them.
 * In → Out: `RedirectPlan` → the input of `nft -f -`, which replaces all that an earlier one has made, at once.
 * Holds: what is redirected has an address of loopback behind it, so the guard lets it pass; everything stands in one table of our own.
 * Source: nft(8); linux, netfilter hooks: NAT of the output hook is done before its filter.
 */
import type { Network, RedirectPlan } from './plan.ts';

export const NFT_TABLE = 'inet countersign';

/** Also where there is none. */
export const NFT_UNDO = `add table ${NFT_TABLE}\ndelete table ${NFT_TABLE}\n`;

export function nftRules(plan: RedirectPlan): string {
  const { proxyUid, proxyPort, ports, dns } = plan;
  const redirect = [
    `meta skuid ${proxyUid} return`,
    ...LOOPBACK.map((match) => `${match} return`),
    ...(typeof dns === 'number' ? [`${DNS} redirect to :${dns}`] : []),
    ...exemptions(plan, 'return'),
    `tcp dport ${set(ports)} redirect to :${proxyPort}`,
  ];
  const passing = [
    `meta skuid ${proxyUid} accept`,
    'ct state established,related accept',
    ...LOOPBACK.map((match) => `${match} accept`),
    ...(dns === 'drop' ? [`${DNS} ${REFUSE}`] : []),
    ...exemptions(plan, 'accept'),
  ];
  const guard = plan.refusesOthers
    ? [...passing, ...(dns === 'keep' ? [`${DNS} accept`] : []), NEIGHBOURS, REFUSE]
    : [...passing, `udp dport 443 ${REFUSE}`];
  return [
    `${NFT_UNDO}table ${NFT_TABLE} {`,
    ...chain('detour', 'type nat hook output priority -100', redirect),
    ...chain('guard', 'type filter hook output priority 0', guard),
    '}',
    '',
  ].join('\n');
}

const REFUSE = 'reject with icmpx admin-prohibited';
/** Neighbours and routers are found by them. */
const NEIGHBOURS = 'icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit } accept';
const DNS = 'meta l4proto { tcp, udp } th dport 53';
/** What stays on this host; what was redirected here has left by another interface and has such an address. */
const LOOPBACK = ['oif lo', 'ip daddr 127.0.0.0/8', 'ip6 daddr ::1'];

const set = (values: readonly (string | number)[]): string => `{ ${values.join(', ')} }`;

const chain = (name: string, hook: string, rules: readonly string[]): string[] => [
  `  chain ${name} {`,
  `    ${hook}; policy accept;`,
  ...rules.map((rule) => `    ${rule}`),
  '  }',
];

function exemptions({ exempt, exemptPorts }: RedirectPlan, verdict: string): string[] {
  const of = (family: Network['family']): readonly string[] =>
    exempt.filter((network) => network.family === family).map(({ text }) => text);
  const match = (protocol: 'ip' | 'ip6', networks: readonly string[]): string[] =>
    networks.length === 0 ? [] : [`${protocol} daddr ${set(networks)} ${verdict}`];
  return [
    ...match('ip', of(4)),
    ...match('ip6', of(6)),
    ...(exemptPorts.length === 0 ? [] : [`tcp dport ${set(exemptPorts)} ${verdict}`]),
  ];
}

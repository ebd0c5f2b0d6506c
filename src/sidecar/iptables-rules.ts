/**
 * Duty: the redirect rules as iptables-restore and ip6tables-restore read them.
 * In → Out: `RedirectPlan`, family → the input of `--noflush`, which empties our own two chains and fills them again.
 * Holds: what is redirected has an address of loopback behind it, so the guard lets it pass; nothing but our chains and the two jumps to
 *   them is touched.
 * Source: iptables-restore(8), iptables-extensions(8).
 */
import type { Network, RedirectPlan } from './plan.ts';

export const NAT_CHAIN = 'COUNTERSIGN_REDIRECT';
export const FILTER_CHAIN = 'COUNTERSIGN_GUARD';
/** Table → chain. */
export const CHAINS = Object.freeze({ nat: NAT_CHAIN, filter: FILTER_CHAIN });

/** `missing`: tables whose jump is not there yet. */
export function iptablesRules(
  plan: RedirectPlan,
  family: Network['family'],
  missing: readonly (keyof typeof CHAINS)[],
): string {
  const { proxyUid, proxyPort, ports, dns } = plan;
  /** What stays on this host; what was redirected here has left by another interface and has such an address. */
  const loopback = ['-o lo -j RETURN', `-d ${family === 4 ? '127.0.0.0/8' : '::1/128'} -j RETURN`];
  const owner = `-m owner --uid-owner ${proxyUid} -j RETURN`;
  const redirect = [
    owner,
    ...loopback,
    ...(typeof dns === 'number' ? onDns(`-j REDIRECT --to-ports ${dns}`) : []),
    ...exemptions(plan, family),
    ...batches(ports).map((some) => `-p tcp -m multiport --dports ${some} -j REDIRECT --to-ports ${proxyPort}`),
  ];
  const refuse = `-j REJECT --reject-with ${family === 4 ? 'icmp-admin-prohibited' : 'icmp6-adm-prohibited'}`;
  const passing = [
    owner,
    '-m conntrack --ctstate ESTABLISHED,RELATED -j RETURN',
    ...loopback,
    ...(dns === 'drop' ? onDns(refuse) : []),
    ...exemptions(plan, family),
  ];
  const guard = plan.refusesOthers
    ? [...passing, ...(dns === 'keep' ? onDns('-j RETURN') : []), ...(family === 6 ? NEIGHBOURS : []), refuse]
    : [...passing, `-p udp --dport 443 ${refuse}`];
  return [
    ...table('nat', redirect, missing.includes('nat')),
    ...table('filter', guard, missing.includes('filter')),
    '',
  ].join('\n');
}

/** Neighbours and routers are found by them. */
const NEIGHBOURS = ['133', '135', '136'].map((type) => `-p ipv6-icmp --icmpv6-type ${type} -j RETURN`);

const onDns = (then: string): string[] => ['udp', 'tcp'].map((protocol) => `-p ${protocol} --dport 53 ${then}`);

function exemptions({ exempt, exemptPorts }: RedirectPlan, family: Network['family']): string[] {
  const networks = exempt.filter((network) => network.family === family).map(({ text }) => text);
  return [
    ...networks.map((network) => `-d ${network} -j RETURN`),
    ...batches(exemptPorts).map((some) => `-p tcp -m multiport --dports ${some} -j RETURN`),
  ];
}

/** As many as one match takes. */
function batches(ports: readonly number[]): string[] {
  const size = 15;
  return Array.from({ length: Math.ceil(ports.length / size) }, (_, i) =>
    ports.slice(i * size, (i + 1) * size).join(','),
  );
}

function table(name: keyof typeof CHAINS, rules: readonly string[], wantsJump: boolean): string[] {
  const chain = CHAINS[name];
  return [
    `*${name}`,
    `:${chain} - [0:0]`,
    ...rules.map((rule) => `-A ${chain} ${rule}`),
    ...(wantsJump ? [`-I OUTPUT 1 -j ${chain}`] : []),
    'COMMIT',
  ];
}

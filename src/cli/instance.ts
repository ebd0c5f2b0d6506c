/**
 * Duty: `countersign instance`: creates, lists, shows, extends and revokes instances of the running proxy.
 * Not here: the instance that `run` and `env` hold (held-instance.ts).
 */
import type { Client, CreateOptions, InstanceAnswer, InstanceListing, ScopeRule } from '../client/client.ts';
import {
  type Command,
  CommandError,
  durationOption,
  EXIT,
  type Given,
  type Option,
  type Terminal,
  UsageError,
} from './command.ts';
import { adminSocket, CONFIG_OPTIONS, SOCKET_OPTION } from './settings.ts';

const ACTIONS = ['create', 'list', 'show', 'extend', 'revoke'] as const;
type Action = (typeof ACTIONS)[number];

const OPTIONS: readonly Option[] = [
  { name: 'workload', short: 'w', value: 'NAME', help: 'create: workload to be; list: instances of this one only' },
  {
    name: 'ttl',
    value: 'DURATION',
    help: 'create, extend: life from now on, e.g. 10m (create: default as the proxy says)',
  },
  {
    name: 'label',
    short: 'l',
    value: 'NAME=VALUE',
    multiple: true,
    help: 'create: a label; list: instances that have it only; may be repeated',
  },
  { name: 'service', value: 'NAME', multiple: true, help: 'create: this Service only; may be repeated' },
  { name: 'scope', value: 'JSON', help: 'create: what may be asked at most, a list of {services, methods, paths}' },
  { name: 'uid', value: 'NUMBER', help: 'create: the token is good for connections of this user alone' },
  SOCKET_OPTION,
  ...CONFIG_OPTIONS,
  { name: 'json', help: 'Print JSON; list: one object a line' },
];

export const instance: Command = {
  name: 'instance',
  takesWords: true,
  words: ACTIONS,
  usage: 'create | list | show ID | extend ID --ttl DURATION | revoke ID…  [options]',
  summary: 'Create, list, show, extend and revoke instances of workloads at the running proxy',
  options: OPTIONS,
  notes: [
    'Example: countersign instance create -w ai-agent --ttl 10m --scope \'[{"services":["openai-api"],"methods":["POST"]}]\'',
    'A scope narrows what the policy allows the workload and never widens it. The token is shown once, by create.',
    'revoke ends the tunnels and the own leases of an instance at once.',
    'Exit codes: 0 done, 1 there is no such instance, 64 usage, 69 no proxy answers, 78 what the policy does not know.',
  ],
  run: async (terminal, given) => {
    const [action, ...ids] = given.positionals;
    const checked = actionOf(action, ids, given);
    const { AdminRefusal, AdminUnreachable, createClient } = await import('../client/client.ts');
    const client = createClient({ socketPath: await adminSocket(terminal, given), name: 'countersign instance' });
    try {
      return await RUN[checked]({ terminal, given, client, ids });
    } catch (thrown) {
      if (thrown instanceof AdminUnreachable)
        throw new CommandError(
          EXIT.unavailable,
          `${thrown.message}; start one (countersign start --config FILE), or name its --socket`,
        );
      if (thrown instanceof AdminRefusal) throw new CommandError(exitCodeOf(thrown.code), thrown.message);
      throw thrown;
    }
  },
};

interface Asked {
  readonly terminal: Terminal;
  readonly given: Given;
  readonly client: Client;
  readonly ids: readonly string[];
}

const RUN: Readonly<Record<Action, (asked: Asked) => Promise<number>>> = { create, list, show, extend, revoke };

/** What can be told to be wrong without a proxy. @throws UsageError */
function actionOf(action: string | undefined, ids: readonly string[], given: Given): Action {
  const known = ACTIONS.find((each) => each === action);
  if (known === undefined)
    throw new UsageError(
      `instance takes ${ACTIONS.join(', ')}${action === undefined ? '' : `, not ${JSON.stringify(action)}`}`,
    );
  const wanted = known === 'create' || known === 'list' ? 'none' : known === 'revoke' ? 'some' : 'one';
  if (wanted === 'none' && ids.length > 0)
    throw new UsageError(`instance ${known} takes no id; what is ${JSON.stringify(ids[0])}?`);
  if (wanted === 'some' && ids.length === 0)
    throw new UsageError('revoke which? countersign instance list shows the ids');
  if (wanted === 'one' && ids.length !== 1)
    throw new UsageError(`instance ${known} takes one id; countersign instance list shows them`);
  if (known === 'extend' && given.value('ttl') === null) throw new UsageError('extend for how long? give --ttl 10m');
  durationOption(given, 'ttl');
  labelsOf(given);
  scopeOf(given);
  uidOf(given);
  return known;
}

const exitCodeOf = (code: string): number =>
  code === 'configuration_invalid'
    ? EXIT.configuration
    : code === 'instance_unknown'
      ? EXIT.negative
      : code === 'request_malformed'
        ? EXIT.usage
        : EXIT.unavailable;

async function create({ terminal, given, client }: Asked): Promise<number> {
  const uid = uidOf(given);
  const [ttl, scope, workload] = [durationOption(given, 'ttl'), scopeOf(given), given.value('workload')];
  const order: CreateOptions = {
    ...(workload === null ? {} : { workload }),
    ...(ttl === null ? {} : { ttl }),
    ...(scope === null ? {} : { scope }),
    ...(uid === null ? {} : { uid }),
    labels: labelsOf(given),
  };
  const answer = await client.create(order);
  if (given.flag('json')) terminal.write(`${JSON.stringify(answer, null, 2)}\n`);
  else
    for (const [name, value] of [...rowsOf(answer), ...secretRowsOf(answer)])
      terminal.write(`${name.padEnd(14)} ${value}\n`);
  return EXIT.ok;
}

async function list({ terminal, given, client }: Asked): Promise<number> {
  const workload = given.value('workload');
  const query = { labels: labelsOf(given), limit: PAGE, ...(workload === null ? {} : { workload }) };
  const line = (id: string, of: string, left: string, labels: string): string =>
    `${id.padEnd(18)}  ${of.padEnd(24)}  ${left.padEnd(8)}  ${labels}`.trimEnd();
  let after: string | null = null;
  let count = 0;
  do {
    const page = await client.list(after === null ? query : { ...query, after });
    if (count === 0 && page.instances.length > 0 && !given.flag('json'))
      terminal.write(`${line('ID', 'WORKLOAD', 'ENDS IN', 'LABELS')}\n`);
    for (const each of page.instances) {
      const labels = `${labelText(each.labels)}${each.scope === null ? '' : ' (scoped)'}`.trimStart();
      const shown = given.flag('json')
        ? JSON.stringify(each)
        : line(each.id, each.workload, spanText(each.remainingMs), labels);
      terminal.write(`${shown}\n`);
    }
    count += page.instances.length;
    after = page.next;
  } while (after !== null);
  if (count === 0 && !given.flag('json')) terminal.complain('no instance lives\n');
  return EXIT.ok;
}

const PAGE = 500;

async function show({ terminal, given, client, ids }: Asked): Promise<number> {
  const [id = ''] = ids;
  return tell(terminal, given, id, await client.get(id));
}

async function extend({ terminal, given, client, ids }: Asked): Promise<number> {
  const [id = ''] = ids;
  return tell(terminal, given, id, await client.extend(id, { ttl: durationOption(given, 'ttl') ?? '' }));
}

async function revoke({ terminal, given, client, ids }: Asked): Promise<number> {
  let exitCode: number = EXIT.ok;
  for (const id of ids) {
    const outcome = await client.revoke(id);
    if (outcome === null) {
      exitCode = EXIT.negative;
      terminal.complain(`${unknown(id)}\n`);
    } else if (given.flag('json')) terminal.write(`${JSON.stringify(outcome)}\n`);
    else {
      const failed = outcome.leasesFailed === 0 ? '' : `; ${outcome.leasesFailed} could not be and end by themselves`;
      terminal.write(`${id} has ended; leases of its own revoked: ${outcome.leasesRevoked}${failed}\n`);
    }
  }
  return exitCode;
}

function tell(terminal: Terminal, given: Given, id: string, listing: InstanceListing | null): number {
  if (listing === null) throw new CommandError(EXIT.negative, unknown(id));
  if (given.flag('json')) terminal.write(`${JSON.stringify(listing, null, 2)}\n`);
  else for (const [name, value] of rowsOf(listing)) terminal.write(`${name.padEnd(14)} ${value}\n`);
  return EXIT.ok;
}

const unknown = (id: string): string => `no instance ${id} lives; countersign instance list shows those that do`;

function rowsOf(listing: InstanceListing): [string, string][] {
  return [
    ['id', listing.id],
    ['workload', listing.workload],
    ['SPIFFE ID', listing.spiffeId],
    ['ends in', `${spanText(listing.remainingMs)} (${new Date(listing.expiresAt).toISOString()})`],
    ['labels', labelText(listing.labels) || 'none'],
    ['user', listing.uid === null ? 'any' : `uid ${listing.uid} alone`],
    ['scope', listing.scope === null ? 'all that the policy allows' : JSON.stringify(listing.scope)],
  ];
}

const secretRowsOf = (answer: InstanceAnswer): [string, string][] => [
  ['proxy URL', answer.proxyUrl],
  ['CA bundle', answer.bundleFile],
  ['API key', `${answer.apiKey} (placeholder)`],
  ['AWS key pair', `${answer.awsAccessKeyId} ${answer.awsSecretAccessKey} (placeholder)`],
  ...(answer.gateway === null ? [] : gatewayRowsOf(answer.gateway)),
];

const gatewayRowsOf = ({ url, apiKey, awsAccessKeyId }: NonNullable<InstanceAnswer['gateway']>): [string, string][] => [
  ['gateway', `${url}/<Service>`],
  ['gateway key', `${apiKey} (the token is in it)`],
  ['gateway AWS id', `${awsAccessKeyId} (with the secret key above)`],
];

const labelText = (labels: Readonly<Record<string, string>>): string =>
  Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .join(' ');

function spanText(ms: number): string {
  const seconds = Math.ceil(ms / 1_000);
  if (seconds < 120) return `${seconds}s`;
  return seconds < 7_200 ? `${Math.round(seconds / 60)}m` : `${Math.round(seconds / 3_600)}h`;
}

/** @throws UsageError */
function labelsOf(given: Given): Record<string, string> {
  return Object.fromEntries(
    given.values('label').map((text) => {
      const equals = text.indexOf('=');
      if (equals < 1) throw new UsageError(`--label takes NAME=VALUE, not ${JSON.stringify(text)}`);
      return [text.slice(0, equals), text.slice(equals + 1)];
    }),
  );
}

/** @throws UsageError */
function uidOf(given: Given): number | null {
  const text = given.value('uid');
  if (text !== null && !/^[0-9]{1,10}$/.test(text)) throw new UsageError('--uid takes the number of a user, like 1001');
  return text === null ? null : Number(text);
}

function scopeOf(given: Given): ScopeRule[] | null {
  const [services, text] = [given.values('service'), given.value('scope')];
  if (services.length > 0 && text !== null) throw new UsageError('--service and --scope exclude each other');
  if (text === null) return services.length === 0 ? null : [{ services }];
  try {
    return JSON.parse(text) as ScopeRule[];
  } catch {
    throw new UsageError('--scope takes JSON, e.g. \'[{"services":["openai-api"],"methods":["POST"]}]\'');
  }
}

/** Duty: `countersign explain`: what policy says of one request, and which rule says it. */
import type { RequestExplanation } from '../app.ts';
import { type Command, EXIT, UsageError } from './command.ts';
import { CONFIG_OPTIONS, defaultStateDirectory, requiredConfigPaths } from './settings.ts';

export const explain: Command = {
  name: 'explain',
  takesWords: true,
  usage: '--workload NAME [options] METHOD URL',
  summary: 'Print the decision for one request, and the rule that made it',
  options: [
    ...CONFIG_OPTIONS,
    { name: 'workload', short: 'w', value: 'NAME', help: 'Workload that asks' },
    {
      name: 'header',
      short: 'H',
      value: 'NAME: VALUE',
      multiple: true,
      help: 'Header that the decision depends on, e.g. X-Amz-Target; may be repeated',
    },
    { name: 'data', short: 'd', value: 'TEXT', help: 'Form body, where the call is named in it (AWS query protocol)' },
    { name: 'scope', value: 'JSON', help: 'Scope of the instance that asks, as it was given when it was created' },
    { name: 'json', help: 'Print a JSON object' },
  ],
  notes: [
    'Example: countersign explain --sandbox --workload ai-agent POST https://api.openai.com/v1/chat/completions',
    'Exit codes: 0 allowed, 1 denied.',
  ],
  run: async (terminal, given) => {
    const [method, url, ...more] = given.positionals;
    const workload = given.value('workload');
    if (method === undefined || url === undefined || more.length > 0)
      throw new UsageError('explain takes METHOD and URL, e.g. GET https://api.openai.com/v1/models');
    if (workload === null) throw new UsageError('whose request? give --workload NAME');
    assertRequest(method, url, given.values('header'));
    const configPaths = requiredConfigPaths(terminal, given);
    const { explainRequest } = await import('../app.ts');
    const explanation = await explainRequest({
      configPaths,
      stateDirectory: defaultStateDirectory(terminal),
      workload,
      method,
      url,
      headers: given.values('header'),
      form: given.value('data'),
      scope: given.value('scope'),
    });
    if (given.flag('json')) terminal.write(`${JSON.stringify(explanation, null, 2)}\n`);
    else for (const line of linesOf(explanation)) terminal.write(`${line}\n`);
    return explanation.isAllowed ? EXIT.ok : EXIT.negative;
  },
};

const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

/** What no request could look like is a mistake of whoever typed it. @throws UsageError */
function assertRequest(method: string, url: string, headers: readonly string[]): void {
  const shown = JSON.stringify(method);
  if (!TOKEN.test(method)) throw new UsageError(`${shown} is not a method`);
  if (/^(?:get|head|post|put|patch|delete|options)$/i.test(method) && method !== method.toUpperCase())
    throw new UsageError(`methods have capital letters: ${method.toUpperCase()}, not ${method}`);
  if (!/^https?:\/\/[^/?#@]+(?:[/?][^#]*)?$/.test(url))
    throw new UsageError(
      `${JSON.stringify(url)} is not a whole URL without user and fragment, e.g. https://api.openai.com/v1/models`,
    );
  const broken = headers.find((header) => !TOKEN.test(header.slice(0, Math.max(0, header.indexOf(':')))));
  if (broken !== undefined) throw new UsageError(`--header takes 'Name: value', not ${JSON.stringify(broken)}`);
}

function linesOf({
  workload,
  destination,
  service,
  foundBy,
  decidedBy,
  call,
  rules,
  binding,
  outcome,
}: RequestExplanation): string[] {
  const verdict =
    outcome.kind === 'permit'
      ? `allowed by ${outcome.rule}`
      : `denied: ${outcome.reason} (${outcome.detail})${outcome.rule === null ? '' : `, by ${outcome.rule}`}`;
  return [
    `${verdict}; revision ${outcome.revision}`,
    `  workload     ${workload}`,
    `  destination  ${destination} → ${service === null ? 'no service' : `service ${service}, by ${foundBy ?? '-'}`}`,
    ...(call === null ? [] : [`  call         ${call}`]),
    `  decided by   ${decidedBy === 'policies' ? 'the policies that name the workload' : 'its bindings and the preset’s safe calls'}`,
    ...rules.map((rule) => `  rule         ${rule.rule.padEnd(16)} ${rule.action.padEnd(15)} ${rule.why}`),
    `  credential   ${binding ?? 'none'}`,
  ];
}

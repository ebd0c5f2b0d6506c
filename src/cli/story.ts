/**
 * Duty: shows the main job once, on the sandbox: what an agent sent, what the upstream received, as whom, on which lease.
 * In → Out: a running proxy with a sandbox → a short story on standard output.
 * Holds: the agent is a child process with nothing but what `run` gives; every line of the story comes from what happened.
 */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { InstanceAnswer, RunningProxy, SeenRequest } from '../app.ts';
import { agentEnvironment, agentVariables } from './agent-environment.ts';
import { CommandError, EXIT, type Terminal } from './command.ts';

const AGENT = import.meta.url.endsWith('.ts') ? '../sandbox/story-agent.ts' : '../sandbox/story-agent.js';
const TTL_MS = 3_600_000;
const AGENT_DEADLINE_MS = 30_000;

/** One line of the agent's standard output. */
interface AgentStep {
  readonly step: string;
  readonly sent: { readonly method: string; readonly url: string; readonly authorization: string | null };
  /** Null where neither an answer nor a refusal came. */
  readonly status: number | null;
  readonly answer?: string | null;
  readonly problem?: { readonly code: string; readonly detail: string } | null;
}

/** @throws CommandError where there is no sandbox, or where the agent did not come to its end. */
export async function tellStory(terminal: Terminal, proxy: RunningProxy): Promise<void> {
  const { sandbox } = proxy;
  if (sandbox === null)
    throw new CommandError(EXIT.usage, '--story needs the sandbox: countersign start --sandbox --story');
  const say = (text = ''): void => terminal.write(`${text}\n`);
  const paint = painter(terminal);
  const instance = await proxy.createInstance({ workload: '', ttlMs: TTL_MS });
  say();
  say(paint.bold('An agent with placeholders calls OpenAI and AWS. It runs as'));
  say(`  ${instance.spiffeId} (instance ${instance.id})`);
  say(
    `  OPENAI_API_KEY=${instance.apiKey.slice(0, 24)}…  AWS_ACCESS_KEY_ID=${instance.awsAccessKeyId}  (both worthless outside this proxy)`,
  );
  const arrived: SeenRequest[] = [];
  const stop = sandbox.upstreams.onExchange((seen) => arrived.push(seen));
  try {
    for await (const step of agentSteps(terminal, instance)) {
      tellStep(say, paint, step, arrived.splice(0));
    }
  } finally {
    stop();
  }
  tellLeases(say, paint, proxy);
  tellHowToTry(say, paint, terminal, instance, proxy);
}

async function* agentSteps(terminal: Terminal, instance: InstanceAnswer): AsyncGenerator<AgentStep> {
  const { environment } = terminal;
  const variables = agentVariables(instance, environment);
  const child = spawn(terminal.nodePath, [fileURLToPath(new URL(AGENT, import.meta.url))], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...agentEnvironment(environment, variables, []), AWS_REGION: 'us-east-1' },
    timeout: AGENT_DEADLINE_MS,
  });
  const exited = new Promise<number | null>((resolve) => child.once('exit', (code) => resolve(code)));
  for await (const line of createInterface({ input: child.stdout })) yield JSON.parse(line) as AgentStep;
  const code = await exited;
  if (code !== 0) throw new CommandError(EXIT.internal, `the agent of the story ended with ${code ?? 'a signal'}`);
}

type Say = (text?: string) => void;

function tellStep(say: Say, paint: Painter, step: AgentStep, arrived: readonly SeenRequest[]): void {
  say();
  say(`${paint.bold(`${step.sent.method} ${step.sent.url}`)}`);
  say(`  agent sent         ${step.sent.authorization ?? 'no credential'}`);
  for (const seen of arrived) say(`  upstream received  ${seen.auth}${seen.as === null ? '' : ` → ${seen.as}`}`);
  if (arrived.length === 0) say('  upstream received  nothing');
  const { problem } = step;
  if (problem) say(`  ${paint.red('denied')}             ${step.status} ${problem.code}: ${problem.detail}`);
  else say(`  ${paint.green('answered')}           ${step.status ?? 'no answer'} ${step.answer ?? ''}`);
}

function tellLeases(say: Say, paint: Painter, proxy: RunningProxy): void {
  say();
  say(paint.bold('Leases, each obtained from Vault by logging in as that workload:'));
  for (const { binding, source, lease } of proxy.leases()) {
    const seconds = Math.max(0, Math.round((lease.expiresAt - proxy.now()) / 1_000));
    say(`  ${binding.padEnd(24)} ${(lease.idPrefix ?? 'no lease id').padEnd(26)} ${source}, ends in ${seconds} s`);
  }
}

function tellHowToTry(
  say: Say,
  paint: Painter,
  terminal: Terminal,
  instance: InstanceAnswer,
  proxy: RunningProxy,
): void {
  say();
  say(paint.bold('Try it yourself, from another shell:'));
  say(`  export HTTPS_PROXY=${instance.proxyUrl} CURL_CA_BUNDLE=${instance.bundleFile}`);
  say('  curl https://api.openai.com/v1/models');
  say(`  curl https://api.openai.com/v1/chat/completions -H 'Authorization: Bearer ${instance.apiKey}' \\`);
  say(
    `    -H 'Content-Type: application/json' -d '{"model":"gpt-4o-mini","messages":[{"role":"user","content":"hello"}]}'`,
  );
  say(`  curl --aws-sigv4 aws:amz:us-east-1:sts --user ${instance.awsAccessKeyId}:${instance.awsSecretAccessKey} \\`);
  say(`    'https://sts.us-east-1.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15'`);
  say(`  curl -X DELETE https://api.openai.com/v1/files/file-1        # denied, and it says by which rule`);
  say(`  tail -n 3 ${proxy.auditFile}`);
  say();
  if (terminal.isTerminal) say('Ctrl-C ends it and revokes the leases.');
}

interface Painter {
  bold(text: string): string;
  red(text: string): string;
  green(text: string): string;
}

function painter(terminal: Terminal): Painter {
  const colour = terminal.isTerminal && !terminal.environment['NO_COLOR'];
  const wrap = (code: number) => (text: string) => (colour ? `\u001b[${code}m${text}\u001b[0m` : text);
  return { bold: wrap(1), red: wrap(31), green: wrap(32) };
}

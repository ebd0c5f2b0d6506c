/** Duty: real SDKs and tools that know nothing but a base URL and a key: no proxy variable, no CA. */
import { spawnSync } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openSandboxedProxy, type SandboxedProxy } from './harness.ts';

let sandboxed: SandboxedProxy;
beforeAll(async () => {
  sandboxed = await openSandboxedProxy();
});
afterAll(() => sandboxed.close());

const byGateway = { byGateway: true };
const resultsOf = (stdout: string): Record<string, unknown> =>
  JSON.parse(stdout.split('\n')[0] ?? '') as Record<string, unknown>;

it('nothing of a proxy or a CA is set', async () => {
  const { stdout } = await sandboxed.run(['env'], { ...byGateway, env: { NO_PROXY: '.corp.example' } });
  expect(stdout).not.toMatch(/^(?:HTTPS?_PROXY|https?_proxy|NODE_EXTRA_CA_CERTS|SSL_CERT_FILE|AWS_CA_BUNDLE)=/m);
  expect(stdout).toMatch(/^NO_PROXY=\.corp\.example,localhost,127\.0\.0\.1,::1$/m);
  expect(stdout).toMatch(/^OPENAI_BASE_URL=http:\/\/127\.0\.0\.1:[0-9]+\/openai-api\/v1$/m);
  expect(stdout).toMatch(/^ANTHROPIC_BASE_URL=http:\/\/127\.0\.0\.1:[0-9]+\/anthropic-api$/m);
  expect(stdout).toMatch(/^AWS_ENDPOINT_URL=http:\/\/127\.0\.0\.1:[0-9]+\/aws$/m);
  expect(stdout).toMatch(/^OPENAI_API_KEY=sk-placeholder-cs_[\w-]{43}$/m);
  expect(stdout).toMatch(/^AWS_ACCESS_KEY_ID=AKIACSGW[A-Z2-7]{52}$/m);
});

/** What it says of itself; keys and ids that are new each time are somebody else's test. */
const SAID: Readonly<Record<string, Record<string, unknown>>> = {
  'openai.ts': {
    ...{ answer: expect.stringMatching(/\S/), streamed: expect.stringMatching(/\S/), chunks: 6 },
    ...{ roundTrip: true, deletion: { status: 403, code: 'rule_denied' } },
  },
  'anthropic.ts': { answer: [{ type: 'text' }], streamed: expect.stringMatching(/\S/) },
  'aws.ts': {
    ...{ arn: expect.stringMatching(/^arn:aws:/), assumed: { name: 'mints_credentials', status: 403 } },
    ...{ roundTrips: [true, true, true], item: 'hello', converse: expect.stringMatching(/\S/), events: 4 },
  },
};

it.each(Object.entries(SAID))(
  '%s does what it does through the proxy, and holds no real secret',
  async (file, said) => {
    const agent = await sandboxed.runAgent(file, { byGateway: true });
    expect(agent.stderr).toBe('');
    expect(resultsOf(agent.stdout)).toMatchObject(said);
    expect(agent.secretsKnown).toBeGreaterThan(0);
    expect(agent.placeholdersFound).toBe(1);
    expect(agent.secretsFound).toEqual([]);
  },
  90_000,
);

it('curl calls, streams, uploads, signs and reads a denial', async () => {
  const script = `
    key="Authorization: Bearer $OPENAI_API_KEY"
    ask() { curl -sS --max-time 20 -o /dev/null -w '%{http_code} ' "$@"; }
    ask -H "$key" "$OPENAI_BASE_URL/models"
    ask -H "$key" -H 'Content-Type: application/json' -d '{"model":"gpt-4o-mini","messages":[{"role":"user","content":"a"}],"stream":true}' "$OPENAI_BASE_URL/chat/completions"
    head -c 300000 /dev/zero > upload.bin
    ask -H "$key" -H 'Expect: 100-continue' -F purpose=assistants -F file=@upload.bin "$OPENAI_BASE_URL/files"
    ask -H "$key" -H 'Transfer-Encoding: chunked' -F purpose=assistants -F file=@upload.bin "$OPENAI_BASE_URL/files"
    ask --aws-sigv4 aws:amz:us-east-1:sts -u "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" -d 'Action=GetCallerIdentity&Version=2011-06-15' "$AWS_ENDPOINT_URL"
    ask --aws-sigv4 aws:amz:us-east-1:sts -u "$AWS_ACCESS_KEY_ID:wrong" -d 'Action=GetCallerIdentity&Version=2011-06-15' "$AWS_ENDPOINT_URL"
    ask -H "$key" -X DELETE "$OPENAI_BASE_URL/files/file-1"
    ask "$OPENAI_BASE_URL/models"
    ask -H "$key" "\${OPENAI_BASE_URL%/openai-api/v1}/nobody/v1"
  `;
  const { stdout, stderr } = await sandboxed.run(['sh', '-c', script], byGateway);
  expect(stderr).toBe('');
  expect(stdout.trim()).toBe('200 200 200 200 200 403 403 401 404');
}, 60_000);

const PYTHON = `
import json, os, urllib.error, urllib.request

def call(path, body=None, key=os.environ["OPENAI_API_KEY"]):
    headers = {"Authorization": "Bearer " + key, "Content-Type": "application/json"}
    request = urllib.request.Request(os.environ["OPENAI_BASE_URL"] + path, data=body, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refusal:
        return refusal.code, json.load(refusal)

print(*[call("/models")[0], call("/models")[1]["object"]])
chat = json.dumps({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}]}).encode()
print(call("/chat/completions", chat)[1]["choices"][0]["message"]["role"])
print(*[call("/models", key="sk-placeholder-cs_no")[0], call("/models", key="sk-placeholder-cs_no")[1]["code"]])
print(call("/organization/admin_api_keys")[1]["code"])
`;
const hasPython = spawnSync('python3', ['-c', 'import json'], { encoding: 'utf8' }).status === 0;

it.skipIf(!hasPython)(
  'urllib calls, posts and reads denials (skipped where there is no python3)',
  async () => {
    const { stdout, stderr } = await sandboxed.run(['python3', '-c', PYTHON], byGateway);
    expect(stderr).toBe('');
    expect(stdout).toBe('200 list\nassistant\n401 identity_required\nmints_credentials\n');
  },
  60_000,
);

const SAID_IN_REALTIME = { said: 'The sandbox heard: hello', first: 'session.created' };

it('ws and the WebSocket of Node speak to a realtime model in clear', async () => {
  const agent = await sandboxed.runAgent('realtime.ts', { byGateway: true });
  expect(agent.stderr).toBe('');
  const said = { ...SAID_IN_REALTIME, protocol: 'realtime' };
  expect(resultsOf(agent.stdout)).toMatchObject({ ws: said, node: said, refused: '403' });
  expect(agent.secretsFound).toEqual([]);
}, 90_000);

it('all of it is on record as the way it came', () => {
  const lines = sandboxed.auditLines();
  const intents = lines.filter(({ kind }) => kind === 'intent');
  expect(intents.length).toBeGreaterThan(25);
  expect(intents.filter(({ way }) => way !== 'gateway')).toEqual([]);
  const told = new Set(intents.map(({ authority }) => authority));
  expect(told).toContain('api.openai.com:443');
  // The signature names the region, so the host of the region is meant.
  expect([...told].filter((authority) => /sts/.test(String(authority)))).toEqual(['sts.us-east-1.amazonaws.com:443']);
  expect(JSON.stringify(lines)).not.toMatch(/cs_[\w-]{20}|AKIACSG/);
});

describe('inside TLS', () => {
  let secure: SandboxedProxy;
  beforeAll(async () => {
    secure = await openSandboxedProxy((policy) =>
      policy.replace(
        /gateway: \{[^}]*\}/,
        'gateway: { port: 0, certificate: issuingCA, names: [127.0.0.1, localhost] }',
      ),
    );
  });
  afterAll(() => secure.close());

  it('the openai package speaks to a realtime model, which it does by wss alone', async () => {
    const agent = await secure.runAgent('realtime.ts', { byGateway: true });
    expect(agent.stderr).toBe('');
    expect(resultsOf(agent.stdout)).toMatchObject({
      openai: SAID_IN_REALTIME,
      ws: SAID_IN_REALTIME,
      node: SAID_IN_REALTIME,
    });
    expect(agent.secretsFound).toEqual([]);
  }, 90_000);

  it('curl verifies each name', async () => {
    const script = `
      by_name=$(echo "$OPENAI_BASE_URL" | sed s/127.0.0.1/localhost/)
      for url in "$OPENAI_BASE_URL" "$by_name"; do
        curl -sS --max-time 20 -o /dev/null -w '%{http_code} %{http_version} ' -H "Authorization: Bearer $OPENAI_API_KEY" "$url/models"
      done
    `;
    const { stdout, stderr } = await secure.run(['sh', '-c', script], byGateway);
    expect(stderr).toBe('');
    expect(stdout).toBe('200 1.1 200 1.1 ');
  }, 30_000);
});

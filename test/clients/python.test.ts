/** Python's standard library, with no package installed. Skipped where there is no python3. */
import { spawnSync } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openSandboxedProxy, type SandboxedProxy } from './harness.ts';

const hasPython = spawnSync('python3', ['-c', 'import ssl'], { encoding: 'utf8' }).status === 0;

const AGENT = `
import json, os, urllib.error, urllib.request

def call(url, body=None):
    headers = {"Authorization": "Bearer " + os.environ["OPENAI_API_KEY"], "Content-Type": "application/json"}
    request = urllib.request.Request(url, data=body, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refusal:
        return refusal.code, json.load(refusal)

status, models = call("https://api.openai.com/v1/models")
print(status, models["object"])
chat = json.dumps({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}]}).encode()
status, answer = call("https://api.openai.com/v1/chat/completions", chat)
print(status, answer["choices"][0]["message"]["role"])
status, problem = call("https://api.openai.com/v1/organization/admin_api_keys")
print(status, problem["code"])
`;

describe.skipIf(!hasPython)('Python (skipped where there is no python3)', () => {
  let sandboxed: SandboxedProxy;
  beforeAll(async () => {
    sandboxed = await openSandboxedProxy();
  });
  afterAll(() => sandboxed.close());

  it('urllib calls, posts and reads a denial', { timeout: 60_000 }, async () => {
    const { stdout, stderr } = await sandboxed.run(['python3', '-c', AGENT]);
    expect(stderr).toBe('');
    expect(stdout).toBe('200 list\n200 assistant\n403 mints_credentials\n');
  });
});

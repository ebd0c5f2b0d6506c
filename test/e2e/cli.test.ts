import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const LAUNCHER = join(ROOT, 'src', 'launch.js');
let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'countersign-cli-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

function countersign(words: readonly string[], env: Record<string, string> = {}, node = process.execPath) {
  const { status, stdout, stderr } = spawnSync(node, [LAUNCHER, ...words], {
    encoding: 'utf8',
    timeout: 20_000,
    env: { PATH: process.env['PATH'] ?? '', HOME: folder, COUNTERSIGN_STATE_DIR: join(folder, 'state'), ...env },
  });
  return { status, stdout, stderr };
}

const systemNode = ['/usr/bin/node', '/usr/local/bin/node'].find((path) => {
  const major = existsSync(path)
    ? Number(spawnSync(path, ['-p', 'process.versions.node.split(".")[0]'], { encoding: 'utf8' }).stdout)
    : 99;
  return major < 22;
});

describe('the command line', () => {
  it.skipIf(systemNode === undefined)(
    'refuses a Node that is too old in one line (skipped where no old Node is installed)',
    () => {
      const { status, stderr, stdout } = countersign(['version'], {}, systemNode);
      expect(status).toBe(69);
      expect(stdout).toBe('');
      expect(stderr).toMatch(/^countersign: needs Node 22\.19 or newer and this is [^\n]+\n$/);
    },
  );

  it('says what it can do', () => {
    const { status, stdout } = countersign(['help']);
    expect(status).toBe(0);
    for (const command of [
      'start',
      'run',
      'env',
      'instance',
      'check',
      'explain',
      'presets',
      'status',
      'leases',
      'doctor',
      'ca',
      'issuer',
      'completion',
    ])
      expect(stdout).toContain(`\n  ${command}`);
    expect(stdout).not.toContain('\u001b');
  });

  it.each(['start', 'run', 'env', 'instance', 'check', 'explain', 'presets', 'status', 'leases', 'ca', 'issuer'])(
    'has help for %s',
    (command) => {
      const { status, stdout } = countersign([command, '--help']);
      expect(status).toBe(0);
      expect(stdout).toMatch(new RegExp(`^Usage: countersign ${command} `));
      expect(stdout).toContain('--help');
    },
  );

  it.each<[string, string[], number, RegExp]>([
    ['an unknown command', ['strat'], 64, /there is no command "strat"/],
    ['the word that a worker is started with', ['worker'], 64, /there is no command "worker"/],
    ['an unknown option', ['check', '--confg', 'x'], 64, /--confg/],
    ['no policy', ['check'], 64, /give --config FILE, or --sandbox/],
    ['a file that is not there', ['check', '--config', '/no/such.yaml'], 78, /\/no\/such\.yaml/],
    ['nothing to run', ['run', '--sandbox'], 64, /run what\?/],
    ['no proxy', ['run', '--socket', '/no/such.sock', '--', 'true'], 69, /no proxy listens/],
    ['a malformed duration', ['env', '--ttl', '5'], 64, /duration such as 30s/],
    ['an explanation without a URL', ['explain', '--sandbox', '-w', 'ai-agent', 'GET'], 64, /METHOD and URL/],
    [
      'a workload that the policy does not know',
      ['explain', '--sandbox', '-w', 'nobody', 'GET', 'https://api.openai.com/'],
      78,
      /known are ai-agent/,
    ],
    ['an unknown word behind issuer', ['issuer', 'rotat'], 64, /issuer takes rotate, or nothing/],
    ['a revocation without rotate', ['issuer', '--revoke'], 64, /--revoke goes with rotate/],
    ['an issuer where no proxy runs', ['issuer', '--socket', '/no/such.sock'], 69, /no proxy listens.*start one/],
    ['a policy without --config', ['check', 'policy.yaml'], 64, /a policy goes behind --config/],
    ['help for an unknown command', ['help', 'strat'], 64, /there is no command "strat"/],
    ['options of a command without --', ['run', '--sandbox', 'curl', '-s'], 64, /go behind --/],
    ['a life without end', ['env', '--ttl', '9999h'], 64, /at most 168h/],
    ['a shell that it does not know', ['env', '--shell', 'cmd'], 64, /sh or fish/],
    ['a completion that it does not know', ['completion', 'cmd'], 64, /bash, zsh or fish/],
    [
      'a method in small letters',
      ['explain', '--sandbox', '-w', 'ai-agent', 'get', 'https://a.b/'],
      64,
      /GET, not get/,
    ],
    ['what is no URL', ['explain', '--sandbox', '-w', 'ai-agent', 'GET', 'api.openai.com'], 64, /not a whole URL/],
    ['a user in a URL', ['explain', '--sandbox', '-w', 'ai-agent', 'GET', 'https://u:p@a.b/'], 64, /without user/],
    ['a port out of range', ['explain', '--sandbox', '-w', 'ai-agent', 'GET', 'https://a.b:99999/'], 64, /1 to 65535/],
    [
      'a broken header',
      ['explain', '--sandbox', '-w', 'ai-agent', '-H', 'x', 'GET', 'https://a.b/'],
      64,
      /Name: value/,
    ],
    ['an instance without a word', ['instance'], 64, /instance takes create, list, show, extend, revoke/],
    ['another word', ['instance', 'kill', 'i-1'], 64, /not "kill"/],
    ['an instance without an id', ['instance', 'show'], 64, /countersign instance list shows them/],
    ['an id where none belongs', ['instance', 'list', 'i-1'], 64, /takes no id; what is "i-1"\?/],
    ['an extension by nothing', ['instance', 'extend', 'i-1'], 64, /give --ttl 10m/],
    ['a label without a value', ['instance', 'create', '--label', 'x'], 64, /--label takes NAME=VALUE/],
    ['a scope that is no JSON', ['instance', 'create', '--scope', '{'], 64, /--scope takes JSON/],
    ['a user that is no number', ['instance', 'create', '--uid', 'agent'], 64, /--uid takes the number of a user/],
    ['two scopes', ['instance', 'create', '--service', 'a', '--scope', '[]'], 64, /exclude each other/],
    ['instances of no proxy', ['instance', 'list', '--socket', '/no/such.sock'], 69, /no proxy listens .*; start one/],
    ['a preset that there is not', ['presets', 'opnai'], 78, /there is no preset "opnai"; countersign presets lists/],
    ['two presets', ['presets', 'aws', 'slack'], 64, /presets takes one name/],
    ['two policies', ['check', '--sandbox', '--config', 'x'], 64, /exclude each other/],
  ])('answers %s with an exit code and the next step', (_name, words, status, message) => {
    const outcome = countersign(words);
    expect(outcome.stderr).toMatch(message);
    expect(outcome.status).toBe(status);
    expect(outcome.stdout).toBe('');
    expect(outcome.stderr).not.toContain('    at ');
  });

  it('does not mind a reader that goes away', () => {
    const line = `"${process.execPath}" "${LAUNCHER}" explain --sandbox -w ai-agent GET https://api.openai.com/v1/models | true; echo "$PIPESTATUS"`;
    const { stdout, stderr } = spawnSync('bash', ['-c', line], { encoding: 'utf8', timeout: 20_000 });
    expect([stdout, stderr]).toEqual(['0\n', '']);
  });

  it('refuses an environment that would weaken it', () => {
    const { status, stderr } = countersign(['start', '--sandbox'], { NODE_TLS_REJECT_UNAUTHORIZED: '0' });
    expect(status).toBe(78);
    expect(stderr).toContain('NODE_TLS_REJECT_UNAUTHORIZED can turn off the verification of certificates');
  });

  it('checks the quickstart and prints what it amounts to', () => {
    const { status, stdout, stderr } = countersign(['check', '--sandbox']);
    expect(stderr).toBe('');
    expect(status).toBe(0);
    expect(stdout).toMatch(/^valid: revision [0-9a-f]{12}, /);
    expect(stdout).toContain('ai-agent → openai-api');
    const json = JSON.parse(countersign(['check', '--sandbox', '--json']).stdout) as {
      bindings: unknown[];
      warnings: unknown[];
    };
    expect(json.bindings.length).toBeGreaterThan(3);
    expect(json.warnings).toEqual([]);
  });

  it('says file, line and column of what is wrong', () => {
    const file = join(folder, 'broken.yaml');
    writeFileSync(
      file,
      'apiVersion: countersign.dev/v1alpha1\nkind: Service\nmetadata: { name: a }\nspec:\n  addresses: [{ adress: api.openai.com }]\n',
    );
    const { status, stderr } = countersign(['check', '--config', file]);
    expect(status).toBe(78);
    expect(stderr).toMatch(new RegExp(`^${file}:5:17: .*adress.*address`, 'm'));
    const json = countersign(['check', '--json', '--config', file]);
    expect(json.status).toBe(78);
    expect(JSON.parse(json.stdout)).toMatchObject({ valid: false, problems: [{}, { file, line: 5, column: 17 }] });
  });

  it.each<[string, string[], number, RegExp]>([
    ['allowed', ['POST', 'https://api.openai.com/v1/chat/completions'], 0, /^allowed by agents\//],
    ['denied by a rule', ['DELETE', 'https://api.openai.com/v1/files/file-1'], 1, /^denied: rule_denied/],
    [
      'denied because it mints',
      ['POST', 'https://api.openai.com/v1/organization/admin_api_keys'],
      1,
      /^denied: mints_credentials/,
    ],
    ['denied because nobody named it', ['GET', 'https://example.com/'], 1, /^denied: destination_unknown/],
    [
      'denied by the name of an AWS call in the form',
      ['POST', 'https://sts.us-east-1.amazonaws.com/', '-d', 'Action=AssumeRole&Version=2011-06-15'],
      1,
      /^denied: mints_credentials/,
    ],
  ])('explains what is %s', (_name, words, status, text) => {
    const outcome = countersign(['explain', '--sandbox', '--workload', 'ai-agent', ...words]);
    expect(outcome.stdout).toMatch(text);
    expect(outcome.stdout).toContain('revision');
    expect(outcome.status).toBe(status);
  });

  it('explains what a scope takes away', () => {
    const asked = ['explain', '--sandbox', '-w', 'ai-agent', 'POST', 'https://api.openai.com/v1/chat/completions'];
    const within = countersign([...asked, '--scope', '[{"services":["openai-api"]}]']);
    expect([within.status, within.stdout]).toEqual([0, expect.stringMatching(/^allowed by agents\//)]);
    const beyond = countersign([...asked, '--scope', '[{"methods":["GET"]}]']);
    expect([beyond.status, beyond.stdout]).toEqual([1, expect.stringMatching(/^denied: scope_denied .* by agents\//)]);
    expect(countersign([...asked, '--scope', '[{}]'])).toMatchObject({
      status: 64,
      stderr: expect.stringMatching(/no condition/),
    });
  });

  it('prints the CA, the same one every time, its key for nobody else', () => {
    const config = ['--config', writePolicyWithCa()];
    const first = countersign(['ca', '--json', ...config]);
    const facts = JSON.parse(first.stdout) as { certificateFile: string; fingerprint256: string };
    expect(facts.fingerprint256).toMatch(/^(?:[0-9A-F]{2}:){31}[0-9A-F]{2}$/);
    expect(countersign(['ca', '--json', ...config]).stdout).toBe(first.stdout);
    expect(countersign(['ca', '--pem', ...config]).stdout).toMatch(/^-----BEGIN CERTIFICATE-----/);
    expect(statSync(join(folder, 'own-ca', 'ca-key.pem')).mode & 0o777).toBe(0o400);
    expect(statSync(facts.certificateFile).mode & 0o777).toBe(0o644);
  });

  it.each(['bash', 'zsh'])('completes in %s', (shell) => {
    const { stdout, status } = countersign(['completion', shell]);
    expect(status).toBe(0);
    expect(spawnSync('bash', ['-n'], { input: stdout, encoding: 'utf8' }).stderr).toBe('');
    const words = spawnSync(
      'bash',
      ['-c', `${stdout}\nCOMP_WORDS=(countersign ex); COMP_CWORD=1; _countersign; echo "\${COMPREPLY[@]}"`],
      { encoding: 'utf8' },
    );
    if (shell === 'bash') expect(words.stdout.trim()).toBe('explain');
    const actions = spawnSync(
      'bash',
      ['-c', `${stdout}\nCOMP_WORDS=(countersign instance re); COMP_CWORD=2; _countersign; echo "\${COMPREPLY[@]}"`],
      { encoding: 'utf8' },
    );
    if (shell === 'bash') expect(actions.stdout.trim()).toBe('revoke');
  });
});

describe('npm start', () => {
  it('tells the story with what happened, and revokes its leases on Ctrl-C', { timeout: 60_000 }, async () => {
    const child = spawn(process.execPath, [LAUNCHER, 'start', '--config', writeQuickstart(), '--story'], {
      env: { PATH: process.env['PATH'] ?? '', HOME: folder, COUNTERSIGN_STATE_DIR: join(folder, 'story-state') },
    });
    let text = '';
    let errors = '';
    child.stderr.on('data', (bytes: Buffer) => {
      errors += bytes;
    });
    const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
    for await (const bytes of child.stdout) {
      text += bytes;
      if (text.includes('tail -n 3') && !child.killed) child.kill('SIGINT');
    }
    expect(await ended).toBe(0);
    expect(errors).toBe('');
    expect(text).toMatch(/spiffe:\/\/quickstart\.local\/ai-agent/);
    expect(text).toMatch(/agent sent +Bearer sk-placeholder-[0-9a-f]+/);
    expect(text).toMatch(/upstream received +bearer → key_/);
    expect(text).toMatch(/upstream received +sigv4 → ASIA/);
    expect(text).toMatch(/denied +403 mints_credentials/);
    expect(text).toMatch(/openai\/creds\/ai-agent/);
    expect(text).toMatch(/ended: [3-9] leases revoked\n$/);
  });
});

function writeQuickstart(): string {
  const file = join(folder, 'quickstart.yaml');
  const text = spawnSync('cat', [join(ROOT, 'config', 'quickstart.yaml')], { encoding: 'utf8' }).stdout;
  writeFileSync(file, text.replace(/port: 1008[02]/g, 'port: 0'));
  return file;
}

function writePolicyWithCa(): string {
  const file = join(folder, 'proxy.yaml');
  writeFileSync(
    file,
    'apiVersion: countersign.dev/v1alpha1\nkind: Proxy\nmetadata: { name: p }\nspec: { issuingCA: { directory: ./own-ca } }\n',
  );
  return file;
}

import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import {
  agentEnvironment,
  agentVariables,
  gatewayVariables,
  withheldVariables,
} from '../../../src/cli/agent-environment.ts';

const FACTS = {
  proxyUrl: 'http://i-0123456789abcdef:cs_token@127.0.0.1:10080',
  bundleFile: '/state/ca-bundle.pem',
  javaTrustStore: '/state/ca-bundle.jks',
  apiKey: 'sk-placeholder-1',
  awsAccessKeyId: 'AKIAPLACEHOLDER',
  awsSecretAccessKey: 'placeholder',
  spiffeId: 'spiffe://test.example/agent',
};

describe('what an agent is given', () => {
  const variables = agentVariables(FACTS, {});

  it('names the proxy in every spelling that a client reads', () => {
    for (const name of ['HTTPS_PROXY', 'https_proxy', 'HTTP_PROXY', 'http_proxy'])
      expect(variables[name]).toBe(FACTS.proxyUrl);
    expect(variables['NODE_USE_ENV_PROXY']).toBe('1');
  });

  it.each([
    ['Node', 'NODE_EXTRA_CA_CERTS'],
    ['AWS CLI and boto3', 'AWS_CA_BUNDLE'],
    ['requests', 'REQUESTS_CA_BUNDLE'],
    ['pip', 'PIP_CERT'],
    ['httpx, urllib, aiohttp, Go, uv', 'SSL_CERT_FILE'],
    ['curl', 'CURL_CA_BUNDLE'],
    ['git', 'GIT_SSL_CAINFO'],
    ['cargo', 'CARGO_HTTP_CAINFO'],
    ['npm', 'npm_config_cafile'],
    ['deno', 'DENO_CERT'],
  ])('gives the bundle to %s', (_client, name) => {
    expect(variables[name]).toBe(FACTS.bundleFile);
  });

  it('gives a region under both names, and keeps the boto3 of us-east-1 to the host of its region', () => {
    const named = (own: Record<string, string>) => {
      const { AWS_REGION, AWS_DEFAULT_REGION } = agentVariables(FACTS, own);
      return [AWS_REGION, AWS_DEFAULT_REGION];
    };
    expect(named({ AWS_REGION: 'eu-west-1' })).toEqual(['eu-west-1', 'eu-west-1']);
    expect(named({ AWS_DEFAULT_REGION: 'eu-west-1' })).toEqual(['eu-west-1', 'eu-west-1']);
    expect(named({ AWS_REGION: 'a', AWS_DEFAULT_REGION: 'b' })).toEqual(['a', 'b']);
    expect(named({})).toEqual([undefined, undefined]);
    expect(variables['AWS_S3_US_EAST_1_REGIONAL_ENDPOINT']).toBe('regional');
    const legacy = { AWS_S3_US_EAST_1_REGIONAL_ENDPOINT: 'legacy' };
    expect(agentVariables(FACTS, legacy)).toMatchObject(legacy);
  });

  it('gives the placeholder to APIs that answer nobody without a key', () => {
    for (const name of ['OPENAI', 'ANTHROPIC', 'AZURE_OPENAI', 'CO', 'GEMINI', 'GROQ', 'MISTRAL', 'OPENROUTER'])
      expect(variables[`${name}_API_KEY`]).toBe(FACTS.apiKey);
  });

  it('gives proxy and trust store to Java, and no token, which every JVM would print', () => {
    const options = variables['JAVA_TOOL_OPTIONS'] ?? '';
    expect(options).toContain('-Dhttps.proxyHost=127.0.0.1 -Dhttps.proxyPort=10080');
    expect(options).toContain('-Djavax.net.ssl.trustStore=/state/ca-bundle.jks');
    expect(options).not.toContain('cs_token');
    // The SDK for AWS would take that one, without the token of HTTP_PROXY.
    expect(options).not.toContain('http.proxyHost');
    const blank = agentVariables({ ...FACTS, javaTrustStore: '/my state/a.jks' }, {});
    expect(blank['JAVA_TOOL_OPTIONS']).toContain('"-Djavax.net.ssl.trustStore=/my state/a.jks"');
  });

  it('keeps the options of the user, and does not grow when it is asked again', () => {
    const own = { NODE_OPTIONS: '--max-old-space-size=512', JAVA_TOOL_OPTIONS: '-Xmx1g' };
    const once = agentVariables(FACTS, own);
    expect(once['NODE_OPTIONS']).toMatch(/^--max-old-space-size=512 --require /);
    expect(once['JAVA_TOOL_OPTIONS']).toMatch(/^-Xmx1g -Dhttps\.proxyHost/);
    expect(agentVariables(FACTS, once)).toEqual(once);
    const { NODE_OPTIONS = '' } = once;
    const { status, stderr } = spawnSync(process.execPath, ['-e', ''], { env: { NODE_OPTIONS }, encoding: 'utf8' });
    expect([status, stderr]).toEqual([0, '']);
  });
});

describe('the environment of the gateway', () => {
  const variables = { OPENAI_BASE_URL: 'http://127.0.0.1:10082/openai-api/v1', OPENAI_API_KEY: 'sk-placeholder-cs_x' };
  const facts = { ...FACTS, gateway: { url: 'http://127.0.0.1:10082', variables } };

  it('has base URLs and keys, and nothing of a proxy or a CA', () => {
    const set = gatewayVariables(facts, { NO_PROXY: '.corp.example,localhost' });
    expect(set).toEqual({
      ...variables,
      NO_PROXY: '.corp.example,localhost,127.0.0.1,::1',
      no_proxy: '.corp.example,localhost,127.0.0.1,::1',
      AWS_EC2_METADATA_DISABLED: 'true',
      AWS_SHARED_CREDENTIALS_FILE: '/dev/null',
      COUNTERSIGN_SPIFFE_ID: FACTS.spiffeId,
    });
  });

  it('has the CA where the gateway is called by https, and asks no other proxy for it', () => {
    const secure = { url: 'https://[fd00::1]:10082', variables };
    const set = gatewayVariables({ ...FACTS, gateway: secure }, {});
    expect(set).toMatchObject({ NODE_EXTRA_CA_CERTS: FACTS.bundleFile, SSL_CERT_FILE: FACTS.bundleFile });
    expect(set['NO_PROXY']).toBe('localhost,127.0.0.1,::1,fd00::1');
    expect(set).not.toHaveProperty('HTTPS_PROXY');
  });
});

describe('what an agent in a jail is given', () => {
  const variables = agentVariables({ ...FACTS, proxyUrl: null }, { NODE_OPTIONS: '--max-old-space-size=512' });

  it('names no proxy, nor carries the token, and has everything else', () => {
    expect(Object.keys(variables).filter((name) => /proxy|NODE_OPTIONS/i.test(name))).toEqual([]);
    expect(JSON.stringify(variables)).not.toMatch(/cs_token|10080|proxyHost/);
    expect(variables['JAVA_TOOL_OPTIONS']).toBe(
      '-Djavax.net.ssl.trustStore=/state/ca-bundle.jks -Djavax.net.ssl.trustStoreType=JKS',
    );
    expect([variables['SSL_CERT_FILE'], variables['OPENAI_API_KEY']]).toEqual([FACTS.bundleFile, FACTS.apiKey]);
  });
});

describe('what an agent is not given', () => {
  const secrets = {
    OPENAI_API_KEY: 'sk-real',
    GITHUB_TOKEN: 'ghp_real',
    AWS_SESSION_TOKEN: 'real',
    AWS_PROFILE: 'prod',
    AWS_BEARER_TOKEN_BEDROCK: 'real',
    VAULT_TOKEN: 'hvs.real',
    VAULT_ADDR: 'https://vault',
    DB_PASSWORD: 'real',
    SSH_AUTH_SOCK: '/tmp/agent',
    GOOGLE_APPLICATION_CREDENTIALS: '/key.json',
    my_secret: 'real',
  };

  it('a variable that holds a secret, or the way to one', () => {
    expect(withheldVariables({ ...secrets, PATH: '/bin', TOKENIZER: 'x' }, [], {})).toEqual(
      Object.keys(secrets).sort(),
    );
    const values = Object.values(agentEnvironment(secrets, agentVariables(FACTS, secrets), []));
    expect(Object.values(secrets).filter((secret) => values.includes(secret))).toEqual([]);
  });

  it('a way past the proxy, or past its roots', () => {
    const ways = {
      ALL_PROXY: 'socks5://other:1080',
      all_proxy: 'socks5://other:1080',
      CARGO_HTTP_PROXY: 'other:1',
      NPM_CONFIG_CAFILE: '/other.pem',
      PIP_PROXY: 'other:1',
      grpc_proxy: 'http://other:1',
      no_grpc_proxy: '*',
      npm_config_https_proxy: 'http://other:1',
      wss_proxy: 'http://other:1',
    };
    const given = agentVariables(FACTS, {});
    expect(withheldVariables(ways, [], given)).toEqual(Object.keys(ways).sort());
    expect(withheldVariables(ways, ['PIP_PROXY'], given)).not.toContain('PIP_PROXY');
    expect(agentEnvironment({ https_proxy: 'http://other:1' }, given, [])['https_proxy']).toBe(FACTS.proxyUrl);
    // By the gateway, the user's other calls go the user's ways.
    expect(withheldVariables(ways, [], { OPENAI_BASE_URL: 'http://127.0.0.1:1/openai' })).toEqual([]);
  });

  it('unless it is kept by name', () => {
    expect(agentEnvironment(secrets, agentVariables(FACTS, secrets), ['GITHUB_TOKEN'])['GITHUB_TOKEN']).toBe(
      'ghp_real',
    );
    // A placeholder stands in its place all the same.
    expect(agentEnvironment(secrets, agentVariables(FACTS, secrets), ['OPENAI_API_KEY'])['OPENAI_API_KEY']).toBe(
      FACTS.apiKey,
    );
  });
});

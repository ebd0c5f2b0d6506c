/**
 * Duty: the environment in which an agent uses the proxy without knowing it.
 * In → Out: instance facts and the user's environment → variables to set, variables to take away; for the proxy, or the gateway.
 * Holds: no real secret: variables whose names say that they hold one are taken away unless they are kept by name.
 * Source: the documents of each client; the table stands in README ("Clients").
 */
import { fileURLToPath } from 'node:url';

export interface InstanceFacts {
  /** Null in a jail, where there is no other way than through the proxy, and nothing to say so to anybody. */
  readonly proxyUrl: string | null;
  /** PEM file: the system's roots, the user's own and the issuing CA. */
  readonly bundleFile: string;
  /** The same roots as a Java key store. */
  readonly javaTrustStore: string;
  readonly apiKey: string;
  readonly awsAccessKeyId: string;
  readonly awsSecretAccessKey: string;
  readonly spiffeId: string;
}

export interface GatewayFacts extends Pick<InstanceFacts, 'bundleFile' | 'spiffeId'> {
  readonly gateway: { readonly url: string; readonly variables: Readonly<Record<string, string>> };
}

type Environment = Readonly<Record<string, string | undefined>>;

/** Read by clients as a file of roots. NODE_EXTRA_CA_CERTS and DENO_CERT add to the store, the others replace it. */
export const BUNDLE_VARIABLES = [
  'NODE_EXTRA_CA_CERTS',
  'DENO_CERT',
  'SSL_CERT_FILE',
  'AWS_CA_BUNDLE',
  'REQUESTS_CA_BUNDLE',
  'CURL_CA_BUNDLE',
  'PIP_CERT',
  'GIT_SSL_CAINFO',
  'CARGO_HTTP_CAINFO',
  'npm_config_cafile',
  'NIX_SSL_CERT_FILE',
  'HTTPLIB2_CA_CERTS',
  'GRPC_DEFAULT_SSL_ROOTS_FILE_PATH',
  'CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE',
] as const;

/** Of APIs that answer nobody without a key. Elsewhere a placeholder would spoil what is public (GitHub, Hugging Face). */
const API_KEY_VARIABLES = [
  'OPENAI_API_KEY',
  'ANTHROPIC_API_KEY',
  'AZURE_OPENAI_API_KEY',
  'CO_API_KEY',
  'GEMINI_API_KEY',
  'GROQ_API_KEY',
  'MISTRAL_API_KEY',
  'OPENROUTER_API_KEY',
] as const;

const NODE_PRELOAD = fileURLToPath(new URL('./node-preload.cjs', import.meta.url));

/** Names by which programs know a secret, or a place to find one. */
const SECRET_NAME =
  /(?:^|_)(?:API_?KEYS?|TOKENS?|SECRETS?|SECRET_KEY|ACCESS_KEY|PASSWORDS?|PASSWD|CREDENTIALS?|PRIVATE_KEY|BEARER_TOKEN_BEDROCK)$/i;
const SECRET_VARIABLES = new Set([
  'AWS_ACCESS_KEY_ID',
  'AWS_PROFILE',
  'AWS_DEFAULT_PROFILE',
  'AWS_WEB_IDENTITY_TOKEN_FILE',
  'AWS_CONTAINER_CREDENTIALS_FULL_URI',
  'AWS_CONTAINER_CREDENTIALS_RELATIVE_URI',
  'GOOGLE_APPLICATION_CREDENTIALS',
  'VAULT_ADDR',
  'SSH_AUTH_SOCK',
]);

/** By which a client would be led past the proxy, or to another file of roots, whatever the others say. */
const WAYS_PAST = new Set(
  [
    'ALL_PROXY GRPC_PROXY NO_GRPC_PROXY WS_PROXY WSS_PROXY PIP_PROXY CARGO_HTTP_PROXY GLOBAL_AGENT_HTTP_PROXY',
    'NPM_CONFIG_PROXY NPM_CONFIG_HTTPS_PROXY NPM_CONFIG_NOPROXY NPM_CONFIG_CA',
  ].flatMap((names) => names.split(' ')),
);

/** `environment` is the user's: options that are there already stay. */
export function agentVariables(facts: InstanceFacts, environment: Environment): Record<string, string> {
  const bundle = Object.fromEntries(BUNDLE_VARIABLES.map((name) => [name, facts.bundleFile]));
  const keys = Object.fromEntries(API_KEY_VARIABLES.map((name) => [name, facts.apiKey]));
  return {
    ...(facts.proxyUrl === null ? {} : proxyVariables(facts.proxyUrl, environment)),
    JAVA_TOOL_OPTIONS: javaOptions(facts, environment['JAVA_TOOL_OPTIONS'] ?? ''),
    ...bundle,
    ...keys,
    AWS_ACCESS_KEY_ID: facts.awsAccessKeyId,
    AWS_SECRET_ACCESS_KEY: facts.awsSecretAccessKey,
    ...regionVariables(environment),
    // Of s3.amazonaws.com, where Python's SDK would look for the buckets of us-east-1, no policy of a region knows.
    AWS_S3_US_EAST_1_REGIONAL_ENDPOINT: environment['AWS_S3_US_EAST_1_REGIONAL_ENDPOINT'] || 'regional',
    ...AWS_ALONE,
    COUNTERSIGN_SPIFFE_ID: facts.spiffeId,
  };
}

/** The SDKs would otherwise look for more credentials in files and at the metadata address. */
const AWS_ALONE = { AWS_EC2_METADATA_DISABLED: 'true', AWS_SHARED_CREDENTIALS_FILE: '/dev/null' } as const;

/** Base URLs in place of a proxy; no CA but where the gateway itself is called by https. */
export function gatewayVariables(facts: GatewayFacts, environment: Environment): Record<string, string> {
  const { url, variables } = facts.gateway;
  const isSecure = url.startsWith('https:');
  const host = new URL(url).hostname.replace(/^\[|\]$/g, '');
  const present = (environment['NO_PROXY'] ?? environment['no_proxy'] ?? '').split(',').filter((each) => each !== '');
  // A proxy of the user's must not be asked for what is on this host.
  const direct = [...new Set([...present, 'localhost', '127.0.0.1', '::1', host])].join(',');
  return {
    ...variables,
    NO_PROXY: direct,
    no_proxy: direct,
    ...AWS_ALONE,
    ...(isSecure ? Object.fromEntries(BUNDLE_VARIABLES.map((name) => [name, facts.bundleFile])) : {}),
    COUNTERSIGN_SPIFFE_ID: facts.spiffeId,
  };
}

/** Python's SDK and the AWS CLI of version 1 read the second name alone, most others the first. */
function regionVariables(environment: Environment): Record<string, string> {
  const region = environment['AWS_REGION'] || environment['AWS_DEFAULT_REGION'];
  const own = environment['AWS_DEFAULT_REGION'] || region;
  return region === undefined || own === undefined ? {} : { AWS_REGION: region, AWS_DEFAULT_REGION: own };
}

const proxyVariables = (proxyUrl: string, environment: Environment): Record<string, string> => ({
  HTTPS_PROXY: proxyUrl,
  https_proxy: proxyUrl,
  HTTP_PROXY: proxyUrl,
  http_proxy: proxyUrl,
  NO_PROXY: 'localhost,127.0.0.1,::1',
  no_proxy: 'localhost,127.0.0.1,::1',
  NODE_USE_ENV_PROXY: '1',
  NODE_OPTIONS: nodeOptions(environment['NODE_OPTIONS'] ?? ''),
});

/** Quoted as Node splits it: on spaces outside of double quotes. */
function nodeOptions(present: string): string {
  const preload = `--require "${NODE_PRELOAD.replace(/["\\]/g, '\\$&')}"`;
  return present.includes(preload) ? present : `${present} ${preload}`.trimStart();
}

/**
 * Java reads neither HTTPS_PROXY nor a PEM file. The token is not here: every JVM repeats this variable on standard error, and
 * the JDK's clients take proxy credentials from an Authenticator alone. Basic in CONNECT is off by default since Java 8u111.
 * Without http.proxyHost: the SDK for AWS looks for that one, also for https, and where it is absent takes proxy and token from
 * HTTP_PROXY; were it present, there would be no token.
 */
function javaOptions({ proxyUrl, javaTrustStore }: InstanceFacts, present: string): string {
  const ours: [string, string][] = [
    ...(proxyUrl === null ? [] : javaProxy(proxyUrl)),
    ['javax.net.ssl.trustStore', javaTrustStore],
    ['javax.net.ssl.trustStoreType', 'JKS'],
  ];
  const added = ours
    .map(([name, value]) => (/\s/.test(value) ? `"-D${name}=${value}"` : `-D${name}=${value}`))
    .join(' ');
  return present.includes(added) ? present : `${present} ${added}`.trimStart();
}

function javaProxy(proxyUrl: string): [string, string][] {
  const { hostname, port } = new URL(proxyUrl);
  return [
    ['https.proxyHost', hostname.replace(/^\[|\]$/g, '')],
    ['https.proxyPort', port],
    ['jdk.http.auth.tunneling.disabledSchemes', ''],
  ];
}

const isSecret = (name: string): boolean => SECRET_NAME.test(name) || SECRET_VARIABLES.has(name);
/** Most of them are read in both cases. */
export const leadsPast = (name: string): boolean => WAYS_PAST.has(name.toUpperCase()) || name === 'NPM_CONFIG_CAFILE';

/** Names of the user's variables that an agent must not inherit beside those that it is given. */
export function withheldVariables(
  environment: Environment,
  kept: readonly string[],
  given: Readonly<Record<string, string>>,
): string[] {
  const isProxied = 'HTTPS_PROXY' in given;
  return Object.keys(environment)
    .filter((name) => (isSecret(name) || (isProxied && leadsPast(name))) && !kept.includes(name))
    .sort();
}

/** What an agent inherits, and `variables`. */
export function agentEnvironment(
  environment: Environment,
  variables: Readonly<Record<string, string>>,
  kept: readonly string[],
): Record<string, string> {
  const withheld = new Set(withheldVariables(environment, kept, variables));
  const inherited = Object.entries(environment).filter(
    (entry): entry is [string, string] => entry[1] !== undefined && !withheld.has(entry[0]),
  );
  return { ...Object.fromEntries(inherited), ...variables };
}

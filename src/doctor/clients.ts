/**
 * Duty: what each client must be told so that it uses the proxy and trusts its CA, as data.
 * Source: measured with the clients themselves; README, "Clients".
 * Not here: setting it (cli/agent-environment.ts), looking whether it is so (examine.ts).
 */

export interface ClientNeeds {
  readonly client: string;
  /** Any of these has the proxy's URL. */
  readonly proxy: readonly string[];
  /** Must be set beside it. */
  readonly switch?: { readonly name: string; readonly value: string };
  /** Any of these names a file with the CA; the first that is set counts. */
  readonly trust: readonly string[];
  /** What no variable does. */
  readonly note?: string;
}

const PROXY = ['HTTPS_PROXY', 'https_proxy'];

export const CLIENTS: readonly ClientNeeds[] = [
  { client: 'curl', proxy: PROXY, trust: ['CURL_CA_BUNDLE', 'SSL_CERT_FILE'] },
  { client: 'git', proxy: PROXY, trust: ['GIT_SSL_CAINFO'] },
  {
    client: 'Node (fetch, https, openai, @anthropic-ai/sdk, AWS SDK)',
    proxy: PROXY,
    switch: { name: 'NODE_USE_ENV_PROXY', value: '1' },
    trust: ['NODE_EXTRA_CA_CERTS'],
    note: 'read when the program starts; AWS SDKs need the preload of countersign run, too',
  },
  { client: 'npm', proxy: PROXY, trust: ['npm_config_cafile', 'NODE_EXTRA_CA_CERTS'] },
  { client: 'Python httpx (openai, anthropic), urllib', proxy: PROXY, trust: ['SSL_CERT_FILE'] },
  { client: 'Python aiohttp', proxy: PROXY, trust: ['SSL_CERT_FILE'], note: 'needs ClientSession(trust_env=True)' },
  { client: 'Python requests, pip', proxy: PROXY, trust: ['REQUESTS_CA_BUNDLE', 'CURL_CA_BUNDLE'] },
  { client: 'boto3, AWS CLI', proxy: PROXY, trust: ['AWS_CA_BUNDLE', 'REQUESTS_CA_BUNDLE'] },
  { client: 'gRPC (C core)', proxy: PROXY, trust: ['GRPC_DEFAULT_SSL_ROOTS_FILE_PATH'] },
  { client: 'Go', proxy: PROXY, trust: ['SSL_CERT_FILE'] },
  { client: 'cargo', proxy: PROXY, trust: ['CARGO_HTTP_CAINFO', 'SSL_CERT_FILE'] },
  { client: 'deno', proxy: PROXY, trust: ['DENO_CERT'] },
];

/** Duty: the quickstart policy with Services more, which a test serves itself; their key is that of the quickstart's in-house API. */
export interface TestUpstream {
  /** Of its Service, too. */
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly provider?: string;
}

export interface UpstreamPolicy {
  /** Verifies the certificates of all of them. */
  readonly rootFile: string;
  readonly upstreams: readonly TestUpstream[];
  /** Service → `propagation.injection`, for those that get a key. */
  readonly injections: Readonly<Record<string, string>>;
  /** Before those of the quickstart. */
  readonly rules: readonly string[];
}

/** For `openSandboxedProxy`. */
export function policyWithUpstreams({ rootFile, upstreams, injections, rules }: UpstreamPolicy) {
  const resolve = upstreams.map(({ host, port }) => `{ host: ${host}, address: 127.0.0.1, dialPort: ${port} }`);
  const services = upstreams.map(({ name, host, provider = 'none' }) =>
    documentOf('Service', name, `{ addresses: [{ address: ${host} }], provider: ${provider} }`),
  );
  const bindings = Object.entries(injections).map(([name, injection]) =>
    documentOf(
      'CredentialBinding',
      `ai-agent-${name}`,
      `{ workloadID: ai-agent, credentialSource: vault-internal, services: [${name}], propagation: { injection: ${injection} } }`,
    ),
  );
  return (policy: string): string =>
    [
      policy
        .replace(
          '  sandbox:\n',
          `  upstream: { extraRoots: [${rootFile}], resolve: [${resolve.join(', ')}] }\n  sandbox:\n`,
        )
        .replace('  rules:\n', `  rules:\n${rules.map((rule) => `    - ${rule}\n`).join('')}`),
      ...services,
      ...bindings,
    ].join('\n---\n');
}

const documentOf = (kind: string, name: string, spec: string): string =>
  `apiVersion: countersign.dev/v1alpha1\nkind: ${kind}\nmetadata: { name: ${name} }\nspec: ${spec}\n`;

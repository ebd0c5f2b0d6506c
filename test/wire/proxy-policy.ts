/** Duty: the policy of `proxy-world.ts`: one name for each kind of rule, all of them behind one upstream. */

/** Without a rule about its path, and without a credential. */
export const OPEN = 'a.test:443';
/** A credential is injected. */
export const INJECTED = 'injected.test:443';
/** Only `/v1/files/**`, and not `/v1/files/secret/**`. */
export const SCOPED = 'scoped.test:443';
/** Signed again for S3. */
export const S3 = 's3.us-east-1.amazonaws.com:443';

/** Whatever listens there speaks TCP, and not always TLS. */
export const TCP = 'tcp.test:443';

export const POLICY_HOSTS = [OPEN, INJECTED, SCOPED, S3].map((authority) => authority.slice(0, -4));

const document = (kind: string, name: string, spec: string): string =>
  `---\napiVersion: countersign.dev/v1alpha1\nkind: ${kind}\nmetadata: { name: ${name} }\nspec: ${spec}\n`;

const service = (name: string, host: string, provider = 'none'): string =>
  document('Service', name, `{ addresses: [{ address: ${host} }], provider: ${provider} }`);

const source = (name: string, role: string, path: string, fields = ''): string =>
  document(
    'CredentialSource',
    name,
    `{ vault: { address: sandbox, jwtAuthMethodPath: jwt, role: ${role}, path: ${path}, audience: [vault]${fields} } }`,
  );

const binding = (name: string, from: string, to: string, injection: string): string =>
  document(
    'CredentialBinding',
    name,
    `{ workloadID: ai-agent, credentialSource: ${from}, services: [${to}], propagation: { injection: ${injection} } }`,
  );

/** `limits`: of the Proxy document, `{ maxRequestHead: 4KiB }`. */
export function policyText(tlsPort: number, tcpPort: number, limits: string): string {
  const at = (host: string, port: number): string => `{ host: ${host}, address: 127.0.0.1, dialPort: ${port} }`;
  const resolve = [...POLICY_HOSTS.map((host) => at(host, tlsPort)), at('tcp.test', tcpPort)];
  return [
    document(
      'Proxy',
      'wire',
      `
  listeners: { explicit: { port: 0 } }
  issuer: { listen: { port: 0 } }
  sandbox: { vault: { port: 0 } }
  upstream:
    extraRoots: [./root.pem]
    resolve: [${resolve.join(', ')}]
    responseHeadTimeout: 5s
  limits: ${limits}`,
    ),
    document('WorkloadIdentity', 'ai-agent', '{ workloadID: ai-agent }'),
    service('open', 'a.test'),
    service('injected', 'injected.test'),
    service('scoped', 'scoped.test'),
    service('tcp', 'tcp.test'),
    service('aws', 's3.us-east-1.amazonaws.com', 'aws'),
    source('internal', 'internal-api', 'kv/internal-api', ', fields: { key: token }'),
    source('aws', 'aws', 'aws/sts/ai-agent'),
    binding('injected', 'internal', 'injected', '{ bearer: {} }'),
    binding('tcp', 'internal', 'tcp', '{ bearer: {} }'),
    binding('aws', 'aws', 'aws', '{ sigv4: { services: [s3], regions: [us-east-1] } }'),
    document(
      'EgressPolicy',
      'agents',
      `
  workloads: [ai-agent]
  rules:
    - { services: [scoped], paths: [/v1/files/secret/**], action: deny }
    - { services: [scoped], paths: [/v1/files/**], action: allow }
    - { services: [open, injected, tcp, aws], action: allow }`,
    ),
  ].join('');
}

/** The policy of the playbooks: one workload, a bearer destination, a signed one, and one without a credential. */
const document = (kind: string, name: string, spec: string): string =>
  `apiVersion: countersign.dev/v1alpha1\nkind: ${kind}\nmetadata: { name: ${name} }\nspec: ${spec}\n`;

export const POLICY = [
  document('Service', 'openai-api', '{ addresses: [{ address: api.openai.com }], provider: openai }'),
  document('Service', 'aws', '{ addresses: [{ address: sts.us-east-1.amazonaws.com }], provider: aws }'),
  document('Service', 'open-api', '{ addresses: [{ address: open.example.net }] }'),
  document('WorkloadIdentity', 'agent', '{ workloadID: agent }'),
  document(
    'CredentialSource',
    'vault-openai',
    '{ vault: { address: "https://vault.example.net", role: openai, path: "openai/creds/agent" } }',
  ),
  document(
    'CredentialSource',
    'vault-aws',
    '{ vault: { address: "https://vault.example.net", role: aws, path: "aws/sts/agent" } }',
  ),
  document(
    'CredentialBinding',
    'agent-openai',
    '{ workloadID: agent, credentialSource: vault-openai, services: [openai-api] }',
  ),
  document(
    'CredentialBinding',
    'agent-aws',
    '{ workloadID: agent, credentialSource: vault-aws, services: [aws], propagation: { injection: { sigv4: { services: [sts], regions: [us-east-1] } } } }',
  ),
  document(
    'EgressPolicy',
    'agents',
    `
  workloads: [agent]
  rules:
    - { services: [openai-api], methods: [DELETE], action: deny }
    - { services: [openai-api], methods: [GET, POST], paths: [/v1/**], action: allow }
    - { services: [aws], action: allow }
    - { services: [open-api], methods: [GET], action: allow }
  limits: { concurrent: 1 }`,
  ),
].join('---\n');

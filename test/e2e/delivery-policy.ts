/** Documents for a workload that gets its key as files, besides the quickstart. */

export const OTHER_UID = 60_001;

/** Who the files are for: another user where there can be one. */
export const ownerUid = (): number => (process.getuid?.() === 0 ? OTHER_UID : (process.getuid?.() ?? 0));

export interface FileBinding {
  readonly name: string;
  /** `{ path: … }` */
  readonly file: string;
  readonly way?: 'file' | 'socket';
  /** A role that does not exist lets it fail. */
  readonly role?: string;
  /** Below `/v1/`. */
  readonly path?: string;
}

export function withFiles(policy: string, bindings: readonly FileBinding[], keyLifetime = '1h'): string {
  const identity = `
---
apiVersion: countersign.dev/v1alpha1
kind: WorkloadIdentity
metadata: { name: filer }
spec: { workloadID: filer, selectors: [{ unix:uid: [${ownerUid()}] }] }
`;
  const documents = bindings.map(
    ({ name, file, way = 'file', role = 'openai-apikeys-filer', path = 'openai/creds/filer' }) => `
---
apiVersion: countersign.dev/v1alpha1
kind: CredentialSource
metadata: { name: ${name}-source }
spec: { vault: { address: sandbox, role: ${role}, path: ${path} } }
---
apiVersion: countersign.dev/v1alpha1
kind: CredentialBinding
metadata: { name: ${name} }
spec: { workloadID: filer, credentialSource: ${name}-source, propagation: { ${way}: ${file} } }
`,
  );
  return [policy.replace('keyLifetime: 1h', `keyLifetime: ${keyLifetime}`), identity, ...documents].join('');
}

/**
 * Duty: the JSON Schema of one policy document, for editors.
 * Holds: made of the same shapes that documents are checked against, so it cannot differ from them.
 * Not here: what only shows across documents, and the spelling of hosts and paths.
 */
import { z } from 'zod';
import { KINDS } from './check-shape.ts';

export function createJsonSchema(): object {
  const document = z.discriminatedUnion('kind', [
    KINDS.Proxy,
    KINDS.Service,
    KINDS.WorkloadIdentity,
    KINDS.CredentialSource,
    KINDS.CredentialBinding,
    KINDS.EgressPolicy,
    KINDS.Preset,
  ]);
  const schema = z.toJSONSchema(document, { io: 'input', target: 'draft-2020-12' });
  return {
    ...schema,
    title: 'Countersign policy document',
    description: 'One document of a policy file; see README.md beside this file.',
  };
}

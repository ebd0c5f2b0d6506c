/**
 * Duty: the words of a CredentialBinding.
 * Not here: ways of injection (injection-shape.ts); what a binding means together with others (compile-binding.ts).
 */
import { z } from 'zod';
import { injection } from './injection-shape.ts';
import { apiVersion, empty, list, metadata, methods, name, paths, spelled, workloadId } from './shapes.ts';

const filePath = spelled('an absolute path', /^\/\P{Cc}{1,1000}$/u, '/run/agent/key.json');
const delivery = z.strictObject({ path: filePath.optional(), format: z.enum(['json', 'raw', 'env']).optional() });

export const credentialBinding = z.strictObject({
  apiVersion,
  kind: z.literal('CredentialBinding'),
  metadata,
  spec: z.strictObject({
    workloadID: workloadId,
    credentialSource: name,
    services: list(name).optional(),
    match: z.strictObject({ methods: methods.optional(), paths: paths.optional() }).optional(),
    perInstance: z.boolean().optional(),
    propagation: z
      .strictObject({
        injection: injection.optional(),
        file: delivery.optional(),
        sysfs: empty.optional(),
        socket: delivery.optional(),
      })
      .optional(),
  }),
});

export type CredentialBindingDocument = z.infer<typeof credentialBinding>;

/**
 * Duty: the words of `injection`, in a binding and in a preset.
 * Holds: one way each; which of them stand beside each other, compile-injection.ts says.
 */
import { z } from 'zod';
import { empty, list, spelled, text } from './shapes.ts';

const services = list(spelled('a service of a credential scope', /^[a-z0-9-]{1,64}$/, 's3'));
// `*` is what multi-region access points sign for, not every region.
const regions = list(spelled('a region', /^(?:[a-z]{2,4}(?:-[a-z]+)+-[0-9]{1,2}|aws-global|\*)$/, 'us-east-1'));

const ways = {
  bearer: empty.optional(),
  header: z.strictObject({ name: text, format: text.optional() }).optional(),
  basic: z.strictObject({ username: text.optional() }).optional(),
};

export const injection = z.strictObject({
  ...ways,
  sigv4: z.strictObject({ services, regions, presigned: z.boolean().optional() }).optional(),
});

/** What a preset cannot know of AWS is which services and regions a binding is for. */
export const presetInjection = z.strictObject({ ...ways, sigv4: empty.optional() });

export type InjectionDocument = z.infer<typeof injection>;
export type PresetInjectionDocument = z.infer<typeof presetInjection>;

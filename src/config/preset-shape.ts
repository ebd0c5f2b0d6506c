/**
 * Duty: the words of a Preset: what is known of a provider.
 * Not here: what they mean (compile-preset.ts); the presets that come with the proxy (injection/presets/).
 */
import { z } from 'zod';
import { presetInjection } from './injection-shape.ts';
import { apiVersion, call, list, metadata, methods, paths, spelled } from './shapes.ts';

const host = spelled(
  'a host name, or "*.name"',
  /^(?:\*\.)?[a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63}){1,10}$/,
  'api.example.com',
);
const field = spelled('a field name', /^[!#$%&'*+.^`|~\w-]{1,64}$/, 'x-api-key');
const parameter = spelled('a name of visible characters', /^[\x21-\x7e]{1,64}$/, 'api_key');

const variable = spelled('the name of a variable', /^[A-Z][A-Z0-9_]{0,63}$/, 'ACME_BASE_URL');
const basePath = spelled('a path without a final slash', /^(?:\/[\w.-]{1,64}){1,8}$/, '/v1');

/** One of the places; which, compile-preset.ts says. */
const slot = z.strictObject({
  header: field.optional(),
  scheme: z.enum(['Bearer', 'Basic', 'token']).optional(),
  query: parameter.optional(),
  subprotocol: spelled('the beginning of a subprotocol', /^[!#$%&'*+.^`|~\w-]{1,100}$/, 'api-key.').optional(),
});

export const preset = z.strictObject({
  apiVersion,
  kind: z.literal('Preset'),
  metadata,
  spec: z.strictObject({
    hosts: list(host).optional(),
    slots: z.array(slot).max(100).optional(),
    tenants: list(field).optional(),
    injection: presetInjection,
    minting: z
      .array(z.strictObject({ methods: methods.optional(), paths: paths.optional(), calls: list(call).optional() }))
      .max(1_000)
      .optional(),
    safe: z
      .array(z.strictObject({ methods, paths, upgrade: z.enum(['websocket']).optional() }))
      .max(1_000)
      .optional(),
    expired: z
      .strictObject({
        statuses: list(
          z
            .int()
            .min(200)
            .max(599)
            .meta({ title: 'a status', examples: [401] }),
        ),
        codes: list(spelled('a code as the answer says it', /^[\x20-\x7e]{1,100}$/, 'invalid_api_key')).optional(),
        skewed: list(spelled('a code as the answer says it', /^[\x20-\x7e]{1,100}$/, 'invalid_api_key')).optional(),
      })
      .optional(),
    streams: z
      .array(z.strictObject({ methods, paths, as: z.enum(['events', 'chunks', 'websocket']) }))
      .max(1_000)
      .optional(),
    baseUrls: z
      .array(z.strictObject({ variable, path: basePath.optional(), key: variable.optional() }))
      .max(20)
      .optional(),
  }),
});

export type PresetDocument = z.infer<typeof preset>;

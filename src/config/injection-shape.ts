/**
 * Duty: the words of `injection`, in a binding and in a preset.
 * Holds: one way each; which of them stand beside each other, compile-injection.ts says.
 */
import { z } from 'zod';
import { empty, list, spelled, text } from './shapes.ts';

const services = list(spelled('a service of a credential scope', /^[a-z0-9-]{1,64}$/, 's3'));
// `*` is what multi-region access points sign for, not every region.
const regions = list(spelled('a region', /^(?:[a-z]{2,4}(?:-[a-z]+)+-[0-9]{1,2}|aws-global|\*)$/, 'us-east-1'));

const part = z.enum(['key', 'username', 'password', 'accessKeyId', 'secretAccessKey', 'sessionToken']);
const parameter = spelled('a parameter of letters, digits and "._~-"', /^[A-Za-z0-9._~-]{1,64}$/, 'api_key');
const token = spelled('a token', /^[!#$%&'*+.^`|~\w-]{1,64}$/, 'session');
const headers = list(z.strictObject({ name: text, format: text.optional(), part: part.optional() }));

const hmac = z.strictObject({
  algorithm: z.enum(['sha256', 'sha512']).optional(),
  key: part.optional(),
  sign: spelled('a text with {…} for what is signed', /^\P{Cc}(?:[\P{Cc}\n]{0,500})$/u, '{timestamp}.{body}'),
  encoding: z.enum(['hex', 'base64']).optional(),
  header: z.strictObject({ name: text, format: text.optional() }).optional(),
  query: z.strictObject({ name: parameter }).optional(),
  timestamp: z
    .strictObject({ header: text.optional(), query: parameter.optional(), unit: z.enum(['s', 'ms']).optional() })
    .optional(),
  headers: headers.optional(),
});

/** One of them; which, compile-injection.ts says. */
const ways = {
  bearer: empty.optional(),
  header: z.strictObject({ name: text, format: text.optional() }).optional(),
  headers: headers.optional(),
  basic: z.strictObject({ username: text.optional() }).optional(),
  query: z.strictObject({ name: parameter }).optional(),
  path: z.strictObject({ segment: text }).optional(),
  cookie: z.strictObject({ name: token }).optional(),
  subprotocol: z.strictObject({ prefix: token }).optional(),
  jsonField: z
    .strictObject({ pointer: spelled('a JSON pointer', /^(?:\/[^/]{1,200}){1,16}$/, '/auth/token') })
    .optional(),
  formField: z.strictObject({ name: parameter }).optional(),
  hmac: hmac.optional(),
  mtls: empty.optional(),
  placeholder: z
    .strictObject({
      in: list(spelled('a place', /^(?:query|path|body|header:.{1,64})$/, 'header:X-Api-Key', 'query', 'path', 'body')),
    })
    .optional(),
};

export const injection = z.strictObject({
  ...ways,
  sigv4: z.strictObject({ services, regions, presigned: z.boolean().optional() }).optional(),
});

/** What a preset cannot know of AWS is which services and regions a binding is for. */
export const presetInjection = z.strictObject({ ...ways, sigv4: empty.optional() });

export type InjectionDocument = z.infer<typeof injection>;
export type PresetInjectionDocument = z.infer<typeof presetInjection>;

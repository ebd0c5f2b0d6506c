/**
 * Duty: the words of the Proxy document about evidence that others vouch for: tokens and certificates.
 * Holds: what belongs together is for compile-attestation.ts to say.
 */
import { z } from 'zod';
import { ALGORITHMS } from '../workload/options.ts';
import { duration, list, name, spelled, text } from './shapes.ts';

const url = spelled('an https URL', /^https?:\/\/[^\s?#@]{1,2000}$/, 'https://issuer.example.org/keys');

const jwtIssuer = z.strictObject({
  issuer: text,
  audience: list(text),
  jwksUri: url.optional(),
  jwksFile: text.optional(),
  caFile: text.optional(),
  algorithms: list(z.enum(ALGORITHMS)).optional(),
  clockSkew: duration.optional(),
  maxLifetime: duration.optional(),
});

const kubernetesTokens = z.strictObject({
  audience: list(text),
  issuer: text.optional(),
  jwksUri: url.optional(),
  jwksFile: text.optional(),
  review: z.strictObject({ server: url.optional() }).optional(),
  caFile: text.optional(),
  tokenFile: text.optional(),
});

const trustDomain = spelled('a trust domain', /^[a-z0-9._-]{1,255}$/, 'example.org');

const spiffe = z.strictObject({
  audience: list(text).optional(),
  trustDomains: list(z.strictObject({ name: trustDomain, bundleFile: text })).optional(),
  workloadApi: z.strictObject({ socket: text }).optional(),
});

export const attestation = z.strictObject({
  docker: z
    .strictObject({
      socket: spelled(
        'the absolute path of a socket',
        /^\/\P{Cc}{1,106}$/u,
        '/var/run/docker.sock',
        '/run/podman/podman.sock',
      ).optional(),
    })
    .optional(),
  kubernetes: z
    .strictObject({
      apiServer: spelled(
        'an https origin without path',
        /^https:\/\/[^/?#@\s]{1,300}$/,
        'https://kubernetes.default.svc',
      ).optional(),
      caFile: text.optional(),
      tokenFile: text.optional(),
      nodeName: name.optional(),
      namespace: name.optional(),
      podAddress: z.enum(['ignored', 'beside-token', 'trusted']).optional(),
    })
    .optional(),
  jwt: z.array(jwtIssuer).min(1).max(100).optional(),
  kubernetesTokens: kubernetesTokens.optional(),
  spiffe: spiffe.optional(),
});

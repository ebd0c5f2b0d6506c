/**
 * Duty: the words of the Proxy document, the static settings of one proxy.
 * Holds: everything may be left out; the defaults are in compile-proxy.ts.
 */
import { z } from 'zod';
import { attestation } from './attestation-shape.ts';
import { apiVersion, count, duration, list, metadata, mount, ownPort, port, size, spelled, text } from './shapes.ts';

const ipAddress = spelled('an IP address', /^[0-9A-Fa-f.:]{2,45}$/, '127.0.0.1');
const listen = z.strictObject({ address: ipAddress.optional(), port: ownPort.optional() });

const tlsListen = z.strictObject({
  address: ipAddress.optional(),
  port: ownPort.optional(),
  names: list(spelled('a host name or an IP address', /^[^\s]{1,300}$/, 'proxy.internal')).optional(),
  certificate: z.enum(['issuingCA', 'svid']).optional(),
});

const gatewayListen = z.strictObject({
  address: ipAddress.optional(),
  port: ownPort.optional(),
  names: list(spelled('a host name or an IP address', /^[^\s]{1,300}$/, 'gateway.internal')).optional(),
  certificate: z.enum(['issuingCA']).optional(),
  certificateFile: text.optional(),
  keyFile: text.optional(),
});

export const LIMITS = {
  headDeadline: duration.optional(),
  tlsHandshakeTimeout: duration.optional(),
  requestHeadTimeout: duration.optional(),
  requestTimeout: duration.optional(),
  minBodyRate: size.optional(),
  bodyRateGrace: duration.optional(),
  halfOpenTimeout: duration.optional(),
  webSocketLifetime: duration.optional(),
  webSocketIdleTimeout: duration.optional(),
  idleTimeout: duration.optional(),
  tunnelLifetime: duration.optional(),
  drainTimeout: duration.optional(),
  maxConnections: count(65_536).optional(),
  maxConnectionsPerWorkload: count(65_536).optional(),
  maxConcurrentPerWorkload: count(65_536).optional(),
  maxLeasesPerWorkload: count(10_000).optional(),
  maxLeasesPerSource: count(1_000_000).optional(),
  maxBufferedBody: size.optional(),
  maxSignedChunk: size.optional(),
  maxRequestHead: size.optional(),
  maxRequestFields: count(1_000).optional(),
  maxRequestTarget: size.optional(),
  maxRequestTrailers: size.optional(),
  maxChunkExtensions: size.optional(),
};

const upstream = z.strictObject({
  proxy: z
    .strictObject({
      address: spelled('an origin without path', /^https?:\/\/[^/?#@\s]{1,300}$/, 'http://proxy.corp.example:3128'),
      caFile: text.optional(),
      username: spelled('a user without a colon', /^[^\p{Cc}:]{1,256}$/u, 'countersign').optional(),
      password: z.strictObject({ file: text, groupReadable: z.boolean().optional() }).optional(),
      except: z.array(text).max(1_000).optional(),
    })
    .optional(),
  allowedNetworks: z
    .array(spelled('a network', /^[0-9A-Fa-f.:]{2,45}\/[0-9]{1,3}$/, '10.1.0.0/16'))
    .max(1_000)
    .optional(),
  resolve: z
    .array(
      z.strictObject({
        host: spelled('a host name', /^[^\s]{1,300}$/, 'api.internal.test'),
        port: port.optional(),
        address: ipAddress,
        dialPort: port.optional(),
      }),
    )
    .max(10_000)
    .optional(),
  extraRoots: z.array(text).max(100).optional(),
  connectTimeout: duration.optional(),
  dnsTimeout: duration.optional(),
  responseHeadTimeout: duration.optional(),
  idleTimeout: duration.optional(),
  maxResponseHead: size.optional(),
  maxInterimResponses: count(100).optional(),
  maxRequestsPerConnection: count(1_000_000).optional(),
  maxConnectionsPerWorkload: count(65_536).optional(),
});

export const proxy = z.strictObject({
  apiVersion,
  kind: z.literal('Proxy'),
  metadata: metadata.omit({ namespace: true }).optional(),
  spec: z.strictObject({
    trustDomain: spelled('a trust domain', /^[a-z0-9._-]{1,255}$/, 'example.org').optional(),
    mode: z.enum(['enforce']).optional(),
    unmatched: z.enum(['deny']).optional(),
    stateDirectory: text.optional(),
    workers: count(64).optional(),
    listeners: z
      .strictObject({
        explicit: listen.optional(),
        tls: tlsListen.optional(),
        gateway: gatewayListen.optional(),
        transparent: listen.extend({ tproxy: z.boolean().optional() }).optional(),
        unix: z
          .strictObject({
            path: text,
            mode: spelled('permission bits in quotes', /^0[0-7]{3}$/, '"0660"').optional(),
            group: z
              .union([
                spelled('the name of a group', /^[a-z_][a-z0-9_.-]{0,31}$/, 'agents'),
                z.int().min(0).max(4_294_967_294),
              ])
              .optional(),
          })
          .optional(),
      })
      .optional(),
    admin: z.strictObject({ socket: text.optional() }).optional(),
    issuer: z
      .strictObject({
        url: spelled(
          'an http or https URL without query, fragment and final slash',
          /^https?:\/\/[^\s?#]{0,2000}[^\s?#/]$/,
          'https://issuer.example.org',
        ).optional(),
        listen: listen.optional(),
        tokenLifetime: duration.optional(),
        keyLifetime: duration.optional(),
        algorithm: z.enum(['ES256', 'RS256']).optional(),
        tls: z.strictObject({ certificateFile: text, keyFile: text }).optional(),
        transit: z
          .strictObject({
            address: spelled('an origin without path', /^https?:\/\/[^/?#@\s]{1,300}$/, 'https://vault.internal:8200'),
            namespace: text.optional(),
            caFile: text.optional(),
            mount: mount.optional(),
            key: spelled('the name of a key', /^[A-Za-z0-9_.-]{1,128}$/, 'countersign-issuer'),
            tokenFile: text,
          })
          .optional(),
      })
      .optional(),
    attestation: attestation.optional(),
    issuingCA: z.strictObject({ directory: text.optional(), bundleDirectory: text.optional() }).optional(),
    audit: z.strictObject({ file: text.optional(), maxPending: count(1_000_000).optional() }).optional(),
    log: z.strictObject({ level: z.enum(['debug', 'info', 'warn', 'error', 'silent']).optional() }).optional(),
    upstream: upstream.optional(),
    limits: z.strictObject(LIMITS).optional(),
    instances: z
      .strictObject({ defaultTtl: duration.optional(), maxTtl: duration.optional(), grace: duration.optional() })
      .optional(),
    sandbox: z
      .strictObject({
        vault: z.strictObject({ port: ownPort.optional() }).optional(),
        keyLifetime: duration.optional(),
      })
      .optional(),
  }),
});

export type ProxyDocument = z.infer<typeof proxy>;

/**
 * Duty: the messages of the Workload API, as far as they are read here.
 * Source: SPIFFE Workload API, section 7 (service definition): names and field numbers.
 */
const bytesByName = (id: number) => ({ keyType: 'string', type: 'bytes', id });

export const WORKLOAD_API = {
  nested: {
    SpiffeWorkloadAPI: {
      methods: {
        FetchX509SVID: { requestType: 'X509SVIDRequest', responseType: 'X509SVIDResponse', responseStream: true },
        FetchX509Bundles: {
          requestType: 'X509BundlesRequest',
          responseType: 'X509BundlesResponse',
          responseStream: true,
        },
        FetchJWTBundles: { requestType: 'JWTBundlesRequest', responseType: 'JWTBundlesResponse', responseStream: true },
      },
    },
    X509SVIDRequest: { fields: {} },
    X509SVIDResponse: {
      fields: {
        svids: { rule: 'repeated', type: 'X509SVID', id: 1 },
        federatedBundles: bytesByName(3),
      },
    },
    X509SVID: {
      fields: {
        spiffeId: { type: 'string', id: 1 },
        x509Svid: { type: 'bytes', id: 2 },
        x509SvidKey: { type: 'bytes', id: 3 },
        bundle: { type: 'bytes', id: 4 },
        hint: { type: 'string', id: 5 },
      },
    },
    X509BundlesRequest: { fields: {} },
    X509BundlesResponse: { fields: { bundles: bytesByName(2) } },
    JWTBundlesRequest: { fields: {} },
    JWTBundlesResponse: { fields: { bundles: bytesByName(1) } },
  },
};

export interface X509Svid {
  readonly spiffeId: string;
  readonly x509Svid: Buffer;
  readonly x509SvidKey: Buffer;
}

export interface X509SvidResponse {
  readonly svids?: readonly X509Svid[];
}

/** Trust domain → DER certificates, or a JSON Web Key Set. */
export interface BundlesResponse {
  readonly bundles?: Readonly<Record<string, Buffer>>;
}

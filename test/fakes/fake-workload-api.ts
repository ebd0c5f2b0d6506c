/**
 * Duty: a Workload API on a Unix socket, by the server of the same gRPC library: what it says, when, and how it ends.
 * Holds: refuses a call without the metadata that the standard asks for, as SPIRE's agent does. Message names and numbers are
 *   spelled here a second time, so that a mistake in those of src/ shows.
 */
import {
  type handleServerStreamingCall,
  Metadata,
  Server,
  ServerCredentials,
  type ServerWritableStream,
  status,
} from '@grpc/grpc-js';
import { fromJSON } from '@grpc/proto-loader';

const WORDS = {
  nested: {
    SpiffeWorkloadAPI: {
      methods: {
        FetchX509SVID: { requestType: 'In', responseType: 'Svids', responseStream: true },
        FetchX509Bundles: { requestType: 'In', responseType: 'X509Bundles', responseStream: true },
        FetchJWTBundles: { requestType: 'In', responseType: 'JwtBundles', responseStream: true },
      },
    },
    In: { fields: {} },
    Svids: {
      fields: {
        a: { rule: 'repeated', type: 'Svid', id: 1 },
        b: { rule: 'repeated', type: 'bytes', id: 2 },
        c: { keyType: 'string', type: 'bytes', id: 3 },
      },
    },
    Svid: {
      fields: {
        a: { type: 'string', id: 1 },
        b: { type: 'bytes', id: 2 },
        c: { type: 'bytes', id: 3 },
        d: { type: 'bytes', id: 4 },
        e: { type: 'string', id: 5 },
      },
    },
    X509Bundles: {
      fields: { a: { rule: 'repeated', type: 'bytes', id: 1 }, b: { keyType: 'string', type: 'bytes', id: 2 } },
    },
    JwtBundles: { fields: { a: { keyType: 'string', type: 'bytes', id: 1 } } },
  },
};

export interface ToldSvid {
  readonly spiffeId: string;
  readonly chain: Buffer;
  readonly key: Buffer;
}

type Stream = ServerWritableStream<unknown, object>;
export type MethodName = 'FetchX509SVID' | 'FetchX509Bundles' | 'FetchJWTBundles';

export class FakeWorkloadApi {
  readonly socket: string;
  x509Bundles: Readonly<Record<string, Buffer>> = {};
  jwtBundles: Readonly<Record<string, Buffer>> = {};
  svids: readonly ToldSvid[] = [];
  /** Calls that were taken, in their order. */
  readonly calls: MethodName[] = [];
  #server: Server | null = null;
  readonly #open = new Map<Stream, MethodName>();

  constructor(socket: string) {
    this.socket = socket;
  }

  async start(): Promise<void> {
    const server = new Server();
    const words = fromJSON(WORDS as unknown as Parameters<typeof fromJSON>[0], { keepCase: true })['SpiffeWorkloadAPI'];
    const handle =
      (method: MethodName): handleServerStreamingCall<unknown, object> =>
      (call) => {
        this.calls.push(method);
        if (call.metadata.get('workload.spiffe.io')[0] !== 'true') {
          call.emit('error', { code: status.INVALID_ARGUMENT, details: 'security header missing from request' });
          return;
        }
        if (method === 'FetchX509SVID' && this.svids.length === 0) {
          call.emit('error', {
            code: status.PERMISSION_DENIED,
            details: 'no identity issued',
            metadata: new Metadata(),
          });
          return;
        }
        this.#open.set(call, method);
        call.once('cancelled', () => this.#open.delete(call));
        call.write(this.#message(method));
      };
    server.addService(words as Parameters<Server['addService']>[0], {
      FetchX509SVID: handle('FetchX509SVID'),
      FetchX509Bundles: handle('FetchX509Bundles'),
      FetchJWTBundles: handle('FetchJWTBundles'),
    });
    await new Promise<void>((resolve, reject) =>
      server.bindAsync(`unix:${this.socket}`, ServerCredentials.createInsecure(), (error) =>
        error ? reject(error) : resolve(),
      ),
    );
    this.#server = server;
  }

  /** Says again what it has to say, on every open stream. */
  tell(): void {
    for (const [stream, method] of this.#open) stream.write(this.#message(method));
  }

  get open(): number {
    return this.#open.size;
  }

  stop(): void {
    this.#server?.forceShutdown();
    this.#server = null;
    this.#open.clear();
  }

  #message(method: MethodName): object {
    if (method === 'FetchX509Bundles') return { a: [], b: this.x509Bundles };
    if (method === 'FetchJWTBundles') return { a: this.jwtBundles };
    return {
      a: this.svids.map(({ spiffeId, chain, key }) => ({ a: spiffeId, b: chain, c: key, d: Buffer.alloc(0), e: '' })),
    };
  }
}

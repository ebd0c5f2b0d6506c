/** A server of gRPC, Google's own in Node: a service that answers with what it hears, in each of the four kinds of calls. */
import {
  Metadata,
  type MethodDefinition,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerReadableStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type sendUnaryData,
  status,
} from '@grpc/grpc-js';
import type { Pair } from '../wire/upstream-world.ts';

type Unary = ServerUnaryCall<Buffer, Buffer>;
type Down = ServerWritableStream<Buffer, Buffer>;
type Up = ServerReadableStream<Buffer, Buffer>;
type Both = ServerDuplexStream<Buffer, Buffer>;
type Done = sendUnaryData<Buffer>;

const asIs = (bytes: Buffer): Buffer => bytes;

const method = (name: string, requestStream: boolean, responseStream: boolean): MethodDefinition<Buffer, Buffer> => ({
  path: `/test.Echo/${name}`,
  requestStream,
  responseStream,
  requestSerialize: asIs,
  requestDeserialize: asIs,
  responseSerialize: asIs,
  responseDeserialize: asIs,
});

export interface GrpcUpstream {
  readonly port: number;
  /** The metadata of every call. */
  readonly seen: Readonly<Record<string, unknown>>[];
  close(): Promise<void>;
}

export async function openGrpcUpstream({ key, cert }: Pair): Promise<GrpcUpstream> {
  const server = new Server();
  const seen: Readonly<Record<string, unknown>>[] = [];
  /** What the upstream repeats of the key, in its head and in its trailers. */
  const echoOf = (metadata: Metadata): Metadata => {
    seen.push(metadata.getMap());
    const echo = new Metadata();
    echo.set('x-echo', String(metadata.get('authorization')[0] ?? ''));
    return echo;
  };
  const methods = {
    Unary: method('Unary', false, false),
    Forbidden: method('Forbidden', false, false),
    Fails: method('Fails', false, false),
    Down: method('Down', false, true),
    Up: method('Up', true, false),
    Both: method('Both', true, true),
  };
  server.addService(methods, {
    Unary: (call: Unary, done: Done) => {
      const echo = echoOf(call.metadata);
      call.sendMetadata(echo);
      done(null, call.request, echo);
    },
    Forbidden: (call: Unary, done: Done) => done(null, call.request),
    Fails: (call: Unary, done: Done) =>
      done({ code: status.NOT_FOUND, details: 'no such thing: ü 100%', metadata: echoOf(call.metadata) }),
    Down: (call: Down) => {
      const echo = echoOf(call.metadata);
      call.sendMetadata(echo);
      for (let i = 0; i < Number(call.request); i++) call.write(Buffer.from(`reply ${i}`));
      call.end(echo);
    },
    Up: (call: Up, done: Done) => {
      const echo = echoOf(call.metadata);
      const words: string[] = [];
      call.on('data', (word: Buffer) => words.push(word.toString()));
      call.on('end', () => done(null, Buffer.from(words.join(' ')), echo));
    },
    Both: (call: Both) => {
      const echo = echoOf(call.metadata);
      call.sendMetadata(echo);
      call.on('data', (word: Buffer) => call.write(Buffer.from(`heard ${word}`)));
      call.on('end', () => call.end(echo));
    },
  });
  const port = await new Promise<number>((resolve, reject) => {
    const pair = { private_key: Buffer.from(key), cert_chain: Buffer.from(cert) };
    server.bindAsync('127.0.0.1:0', ServerCredentials.createSsl(null, [pair]), (error, bound) => {
      if (error === null) resolve(bound);
      else reject(error);
    });
  });
  return {
    port,
    seen,
    close: async () => server.forceShutdown(),
  };
}

/** Calls of gRPC of every kind, by a client that knows of the proxy only what its environment says. */
import { Client, credentials, Metadata, type ServiceError, type StatusObject } from '@grpc/grpc-js';
import { done } from './done.ts';

const asIs = (bytes: Buffer): Buffer => bytes;
const text = (bytes: Buffer): string => bytes.toString();
const client = new Client('grpc.test:443', credentials.createSsl());

interface Result {
  readonly replies: string[];
  readonly code: number;
  readonly details: string;
  readonly trailer: string;
  readonly header: string;
}

/** A token of the workload's own, which must not arrive. */
function metadata(): Metadata {
  const own = new Metadata();
  own.set('authorization', `Bearer ${process.env['OPENAI_API_KEY']}`);
  own.set('x-own', 'kept');
  return own;
}

type Call = {
  on(event: 'metadata', listener: (metadata: Metadata) => void): unknown;
  on(event: 'status', listener: (status: StatusObject) => void): unknown;
};

function resultOf(call: Call, replies: string[]): Promise<Result> {
  return new Promise((resolve) => {
    let header = '';
    call.on('metadata', (received) => {
      header = String(received.get('x-echo')[0] ?? '');
    });
    call.on('status', ({ code, details, metadata: trailers }) => {
      resolve({ replies, code, details, header, trailer: String(trailers.get('x-echo')[0] ?? '') });
    });
  });
}

function unary(method: string, message: string): Promise<Result> {
  const replies: string[] = [];
  const onReply = (_: ServiceError | null, reply?: Buffer): void => {
    if (reply !== undefined) replies.push(text(reply));
  };
  const call = client.makeUnaryRequest(method, asIs, asIs, Buffer.from(message), metadata(), onReply);
  return resultOf(call, replies);
}

function serverStream(): Promise<Result> {
  const call = client.makeServerStreamRequest('/test.Echo/Down', asIs, asIs, Buffer.from('3'), metadata());
  const replies: string[] = [];
  call.on('data', (reply: Buffer) => replies.push(text(reply)));
  call.on('error', () => {});
  return resultOf(call, replies);
}

async function clientStream(): Promise<Result> {
  const replies: string[] = [];
  const call = client.makeClientStreamRequest('/test.Echo/Up', asIs, asIs, metadata(), (_, reply?: Buffer) => {
    if (reply !== undefined) replies.push(text(reply));
  });
  const result = resultOf(call, replies);
  for (const word of ['one', 'two', 'three']) {
    call.write(Buffer.from(word));
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  call.end();
  return result;
}

/** Each word is said when the one before has been answered. */
function bidi(): Promise<Result> {
  const call = client.makeBidiStreamRequest('/test.Echo/Both', asIs, asIs, metadata());
  const replies: string[] = [];
  const words = ['a', 'b', 'c'];
  const next = (): void => {
    const word = words.shift();
    if (word === undefined) call.end();
    else call.write(Buffer.from(word));
  };
  call.on('data', (reply: Buffer) => {
    replies.push(text(reply));
    next();
  });
  call.on('error', () => {});
  next();
  return resultOf(call, replies);
}

const big = await unary('/test.Echo/Unary', 'x'.repeat(1_000_000));
const results = {
  unary: await unary('/test.Echo/Unary', 'hello'),
  big: { code: big.code, length: big.replies[0]?.length ?? 0 },
  down: await serverStream(),
  up: await clientStream(),
  both: await bidi(),
  many: (await Promise.all(Array.from({ length: 30 }, (_, i) => unary('/test.Echo/Unary', `${i}`)))).map(
    ({ replies }) => replies[0],
  ),
  failed: await unary('/test.Echo/Fails', 'x'),
  denied: await unary('/test.Echo/Forbidden', 'x'),
};
client.close();
await done(results);

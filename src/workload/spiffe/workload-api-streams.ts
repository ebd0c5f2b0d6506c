/**
 * Duty: the Workload API's transport: gRPC over its Unix socket.
 * In → Out: method → a stream of its messages.
 * Holds: no environment variable leads elsewhere; a message has at most 4 MiB; loaded only where it is configured.
 * Source: SPIFFE Workload Endpoint §4, §6.
 * Not here: what the messages mean (workload-api.ts).
 */
import { Client, credentials, Metadata, status } from '@grpc/grpc-js';
import { fromJSON } from '@grpc/proto-loader';
import type { Method, WorkloadApiStreams } from './workload-api.ts';
import { WORKLOAD_API } from './workload-api-words.ts';

interface MethodWords {
  readonly path: string;
  readonly requestSerialize: (message: object) => Buffer;
  readonly responseDeserialize: (bytes: Buffer) => unknown;
}

const MAX_MESSAGE_BYTES = 4 * 1024 * 1024;

export function openWorkloadApiStreams(socketPath: string): WorkloadApiStreams {
  const words = fromJSON(WORKLOAD_API as unknown as Parameters<typeof fromJSON>[0], {
    keepCase: true,
    bytes: Buffer,
    defaults: false,
  })['SpiffeWorkloadAPI'];
  const methods = words as unknown as Readonly<Record<Method, MethodWords>>;
  const client = new Client(`unix:${socketPath}`, credentials.createInsecure(), {
    'grpc.enable_http_proxy': 0,
    'grpc.default_authority': 'localhost',
    'grpc.max_receive_message_length': MAX_MESSAGE_BYTES,
    'grpc.initial_reconnect_backoff_ms': 1_000,
    'grpc.max_reconnect_backoff_ms': 30_000,
  });
  const open = new Set<{ cancel(): void }>();
  const metadata = new Metadata();
  metadata.set('workload.spiffe.io', 'true');
  return {
    follow: (method, onMessage, onEnd) => {
      const { path, requestSerialize, responseDeserialize } = (methods as Readonly<Record<Method, MethodWords>>)[
        method
      ];
      const stream = client.makeServerStreamRequest(path, requestSerialize, responseDeserialize, {}, metadata);
      stream.on('data', onMessage);
      // Exactly one `status` follows, whatever happens.
      stream.on('error', () => {});
      stream.on('status', ({ code }: { readonly code: number }) => {
        open.delete(stream);
        onEnd(status[code] ?? String(code));
      });
      open.add(stream);
    },
    close: () => {
      // The client's own end waits for theirs.
      for (const stream of open) stream.cancel();
      client.close();
    },
  };
}

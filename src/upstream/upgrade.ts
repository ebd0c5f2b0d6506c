/**
 * Duty: a connection to an upstream that speaks WebSocket from here on.
 * In → Out: the answer to the handshake, UpstreamConnection → head, the frames that come, the way for those that go.
 * Holds: the answer is 101 and accepts what was asked, or nothing of it is used; the connection is never pooled again.
 * Fails: `http_upgrade_failed`; `http_response_incomplete` where it breaks later.
 * Source: RFC 6455 §4.1; RFC 9110 §7.8.
 */
import { EgressError } from '../core/errors.ts';
import type { HeaderList } from '../core/headers.ts';
import type { ResponseHead } from '../core/message.ts';
import { writeMessage } from '../http1/message-writer.ts';
import { RawBody } from '../http1/raw-body.ts';
import { answerFaultOf } from '../websocket/handshake.ts';
import type { Answer, UpstreamConnection } from './upstream-connection.ts';

const NOTHING = Buffer.alloc(0);

/** `drop` ends the connection; idempotent. @throws EgressError `http_upgrade_failed`. */
export function upgrade(
  asked: HeaderList,
  head: ResponseHead,
  connection: UpstreamConnection,
  drop: () => void,
): Answer & Required<Pick<Answer, 'upgraded'>> {
  const fault = answerFaultOf(asked, head);
  if (fault !== null) throw new EgressError('http_upgrade_failed', { detail: fault });
  const { socket } = connection;
  const body = new RawBody(socket, connection.detach(), 'http_response_incomplete', drop);
  return {
    head,
    body,
    upgraded: {
      tally: { framesUp: 0, framesDown: 0, bytesUp: 0, ended: 'destination' },
      send: async (up) => {
        try {
          return await writeMessage(socket, NOTHING, { kind: 'close' }, up);
        } finally {
          // Both ways out: after the last frame the upstream shall see the end, after a failure too.
          if (!socket.destroyed) socket.end();
        }
      },
    },
  };
}

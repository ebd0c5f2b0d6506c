/**
 * Duty: the key among the subprotocols that a WebSocket is opened with, as browsers send it, behind those that the workload offers.
 * Fails: `credential_invalid`, `secret_destroyed`; `credential_place_missing` (a refusal) where no WebSocket is opened.
 * Source: RFC 6455 §4.1, §11.3.4.
 */
import type { RequestHead } from '../core/message.ts';
import type { Credential } from '../credential/credential.ts';
import type { Emptied, Placement, Refusal } from './placement.ts';
import { keyPart } from './secret-bytes.ts';
import { around, spelledSecret } from './secret-text.ts';

/** @throws EgressError */
export function subprotocolPlacement(
  credential: Credential,
  prefix: string,
  { upgrade }: RequestHead,
  { fields }: Emptied,
): Placement | Refusal {
  if (upgrade === undefined)
    return {
      refused: 'credential_place_missing',
      detail: 'the credential goes into the opening of a WebSocket, and this is none',
    };
  const offered = fields.filter(({ key }) => key === 'sec-websocket-protocol').map(({ value }) => value);
  const text = around([...offered, prefix].join(', '), spelledSecret(keyPart(credential), 'token'), '');
  return { injected: 'subprotocol', secretFields: [{ name: 'Sec-WebSocket-Protocol', ...text }] };
}

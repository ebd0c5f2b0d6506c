/**
 * Duty: the short form in which presets list calls.
 * In → Out: `POST /v1/sessions` (`*` for every method), `sts:AssumeRole`, `events: POST /v1/chat` → minting, safe and
 *   streaming calls.
 * Not here: patterns and matching (policy/).
 */
import type { CredentialSlot, MintingCall, ProviderPreset, StreamingCall } from '../options.ts';

/** `POST /v1/realtime/sessions`, `* /v1/organization/**`. */
export function mintingPaths(...lines: readonly string[]): MintingCall[] {
  return lines.map((line) => {
    const [method = '', path = ''] = line.split(' ');
    return { method: method === '*' ? null : method, path, call: null };
  });
}

/** `sts: AssumeRole GetSessionToken` */
export function mintingCalls(...lines: readonly string[]): MintingCall[] {
  return lines.flatMap((line) => {
    const [service = '', ...actions] = line.split(/:? +/);
    return actions.map((action) => ({ method: null, path: null, call: `${service}:${action}` }));
  });
}

/** `GET,HEAD /v1/models/*`, `GET /v1/realtime websocket` */
export function safeCalls(...lines: readonly string[]): ProviderPreset['safe'] {
  return lines.map((line) => {
    const [methods = '', path = '', upgrade] = line.split(' ');
    const call = { methods: methods.split(','), path };
    return upgrade === 'websocket' ? { ...call, upgrade } : call;
  });
}

/** `events: POST /v1/responses`, `websocket: GET /v1/realtime` */
export function streams(...lines: readonly string[]): StreamingCall[] {
  return lines.map((line) => {
    const [as = '', method = '', path = ''] = line.split(/:? +/);
    return { method, path, as: as as StreamingCall['as'] };
  });
}

export const BEARER: CredentialSlot = { in: 'header', name: 'authorization', scheme: 'Bearer' };
export const BASIC: CredentialSlot = { in: 'header', name: 'authorization', scheme: 'Basic' };

export function headerSlot(name: string): CredentialSlot {
  return { in: 'header', name, scheme: null };
}

export function querySlot(name: string): CredentialSlot {
  return { in: 'query', name };
}

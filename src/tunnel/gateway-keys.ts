/**
 * Duty: the token in the key that a client of the gateway shows, wherever it puts it.
 * In → Out: head → the one token; fields and query → the same with the workload's placeholders in place of its keys.
 * Holds: two tokens are none; the token goes no further than this: what later hops see are placeholders as on every other way.
 * Fails: `identity_required`.
 * Source: RFC 7617 (Basic), RFC 6750 (Bearer), AWS SigV4 (`Credential=`), RFC 6455 §11.3.4 (subprotocols).
 * Not here: the form of the keys (core/gateway-key.ts); whose token it is (workload/identify.ts).
 */
import { EgressError } from '../core/errors.ts';
import { gatewayTokensIn, withoutGatewayKeys } from '../core/gateway-key.ts';
import { type Field, HeaderList } from '../core/headers.ts';
import type { RequestHead } from '../core/message.ts';
import type { StandIns } from './tunnel.ts';

const BASIC = /^(basic +)([A-Za-z0-9+/]+={0,2})$/i;

/** Null where no field and no parameter has one. @throws EgressError `identity_required` for more than one. */
export function tokenShownIn({ headers, query }: Pick<RequestHead, 'headers' | 'query'>): string | null {
  let shown: string | null = null;
  const look = (text: string): void => {
    for (const token of gatewayTokensIn(text)) {
      if (shown !== null && shown !== token) throw unidentified('the request shows the keys of two instances');
      shown = token;
    }
  };
  for (const { key, value } of headers.fields) {
    // It has a form of its own and is read there.
    if (key === 'proxy-authorization') continue;
    look(value);
    const pair = basicPairOf(value);
    if (pair !== null) look(pair.text);
  }
  if (query !== null) look(query);
  return shown;
}

const unidentified = (detail: string): EgressError => new EgressError('identity_required', { detail });

export function withStandIns(fields: readonly Field[], { apiKey, awsAccessKeyId }: StandIns): HeaderList {
  const swap = (text: string): string => withoutGatewayKeys(text, apiKey, awsAccessKeyId);
  return HeaderList.owning(
    fields.map((field) => {
      const pair = basicPairOf(field.value);
      const text = pair === null ? null : swap(pair.text);
      const value =
        pair === null || text === null || text === pair.text
          ? swap(field.value)
          : `${pair.scheme}${Buffer.from(text, 'latin1').toString('base64')}`;
      return value === field.value ? field : { ...field, value };
    }),
  );
}

export const queryWithStandIns = (query: string | null, { apiKey, awsAccessKeyId }: StandIns): string | null =>
  query === null ? null : withoutGatewayKeys(query, apiKey, awsAccessKeyId);

function basicPairOf(value: string): { readonly scheme: string; readonly text: string } | null {
  // Most fields are none.
  if (value.charCodeAt(0) !== 0x42 && value.charCodeAt(0) !== 0x62) return null;
  const [, scheme, encoded] = BASIC.exec(value) ?? [];
  if (scheme === undefined || encoded === undefined) return null;
  return { scheme, text: Buffer.from(encoded, 'base64').toString('latin1') };
}

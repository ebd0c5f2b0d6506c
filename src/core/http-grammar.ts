/**
 * Duty: the rules of names, values and lengths that HTTP/1.1 and HTTP/2 share, so that neither codec is the laxer one.
 * Holds: nothing is changed or normalised; every answer is about the text as it arrived.
 * Source: RFC 9110 §5, §6.5.1, §8.6, §9; RFC 9112 §3.2.
 * Not here: bytes on the wire (http1/, http2/).
 */

const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const PLAIN_NAME = /^[a-z0-9]+(?:-[a-z0-9]+)*$/;
const NO_LETTER_DIGIT = /[^a-z0-9]+/g;
const LENGTH = /^(?:0|[1-9][0-9]{0,14})$/;
/** 0x21–0x7e without `#` and `\`. */
const TARGET = /^[!"$-[\]-~]+$/;
export const MAX_METHOD_LENGTH = 32;

/**
 * Names that some recipients take for another once they have turned `_` or `.` into `-` (CGI and its heirs): of framing,
 * routing and credentials, and those by which frameworks are told another method, path or host.
 */
const ALIASED = new Set(
  (
    'host content-length content-type content-encoding transfer-encoding te trailer connection expect upgrade ' +
    'authorization proxy-authorization cookie x-api-key x-goog-api-key forwarded x-forwarded-for x-forwarded-host ' +
    'x-forwarded-proto x-http-method x-http-method-override x-method-override x-original-method x-original-url ' +
    'x-original-uri x-original-host x-rewrite-url x-host'
  ).split(' '),
);

const NO_TRAILER = new Set(
  (
    'host content-length transfer-encoding connection keep-alive proxy-connection te trailer upgrade expect range ' +
    'authorization proxy-authorization www-authenticate proxy-authenticate cookie set-cookie content-encoding ' +
    'content-type content-range cache-control max-forwards age date expires location retry-after vary'
  ).split(' '),
);

export function isToken(text: string): boolean {
  return TOKEN.test(text);
}

/** A name, in lower case, that a recipient further on may take for one that decides about framing, routing or credentials. */
export function isAlias(key: string): boolean {
  if (PLAIN_NAME.test(key)) return false;
  const plain = key.replace(NO_LETTER_DIGIT, '-').replace(/^-|-$/g, '');
  return ALIASED.has(plain) || plain.startsWith('x-amz-');
}

/** A field, in lower case, that means nothing behind a body, or changes what was read already (RFC 9110 §6.5.1). */
export function belongsIntoHead(key: string): boolean {
  return NO_TRAILER.has(key);
}

/** The value of Content-Length; null where it is no plain decimal number. */
export function plainLength(value: string): number | null {
  return LENGTH.test(value) ? Number(value) : null;
}

/** Visible ASCII without what no recipient reads alike. */
export function isTargetText(text: string): boolean {
  return TARGET.test(text);
}

/**
 * A token that is no method for us: TRACE sends back what it was sent, an injected credential included; one that only some
 * recipients take for HEAD or CONNECT makes them disagree about where its response ends.
 */
export function isRefusedMethod(method: string): boolean {
  if (method === 'HEAD' || method === 'CONNECT') return false;
  const upper = method.toUpperCase();
  const isRefused = upper === 'TRACE' || upper === 'TRACK' || upper === 'HEAD' || upper === 'CONNECT';
  return isRefused || method.length > MAX_METHOD_LENGTH;
}

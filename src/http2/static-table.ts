/**
 * Duty: the fields that HPACK numbers beforehand.
 * Source: RFC 7541 appendix A.
 */

export interface TableField {
  readonly name: string;
  readonly value: string;
}

const NAMES_AND_VALUES: readonly (readonly [name: string, ...values: string[]])[] = [
  [':authority', ''],
  [':method', 'GET', 'POST'],
  [':path', '/', '/index.html'],
  [':scheme', 'http', 'https'],
  [':status', '200', '204', '206', '304', '400', '404', '500'],
  ['accept-charset', ''],
  ['accept-encoding', 'gzip, deflate'],
  ...(
    'accept-language accept-ranges accept access-control-allow-origin age allow authorization cache-control ' +
    'content-disposition content-encoding content-language content-length content-location content-range content-type ' +
    'cookie date etag expect expires from host if-match if-modified-since if-none-match if-range if-unmodified-since ' +
    'last-modified link location max-forwards proxy-authenticate proxy-authorization range referer refresh retry-after ' +
    'server set-cookie strict-transport-security transfer-encoding user-agent vary via www-authenticate'
  )
    .split(' ')
    .map((name) => [name, ''] as const),
];

/** Index 1 is the first. */
export const STATIC_TABLE: readonly TableField[] = Object.freeze(
  NAMES_AND_VALUES.flatMap(([name, ...values]) => values.map((value) => Object.freeze({ name, value }))),
);

/** Name → its first index. */
export const STATIC_NAMES: ReadonlyMap<string, number> = new Map(
  STATIC_TABLE.map(({ name }, at) => [name, at + 1] as const).reverse(),
);

/** Name, NUL and value → index, of those that have a value. */
export const STATIC_FIELDS: ReadonlyMap<string, number> = new Map(
  STATIC_TABLE.map(({ name, value }, at) => [`${name}\0${value}`, at + 1] as const).filter(
    ([text]) => !text.endsWith('\0'),
  ),
);

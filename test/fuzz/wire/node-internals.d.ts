/** Node's own parser; stable in fact, not documented, and without types. */
declare module 'node:_http_common' {
  export const HTTPParser: unknown;
}

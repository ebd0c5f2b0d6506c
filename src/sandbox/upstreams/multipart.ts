/**
 * Duty: reads a whole multipart/form-data body.
 * In → Out: Content-Type and bytes → parts, or null where it is not a well-formed form.
 * Holds: contents are windows on the body, not copies.
 * Source: RFC 7578; RFC 2046 §5.1.1.
 */

export interface FormPart {
  readonly name: string;
  /** Null for a plain field. */
  readonly filename: string | null;
  readonly content: Buffer;
}

const MAX_PARTS = 100;

export function parseMultipart(contentType: string, body: Buffer): FormPart[] | null {
  const given = /^multipart\/form-data;.*?boundary=(?:"([^"]{1,70})"|([^\s;"]{1,70}))/i.exec(contentType);
  const boundary = given?.[1] ?? given?.[2];
  if (boundary === undefined) return null;
  const delimiter = Buffer.from(`\r\n--${boundary}`, 'latin1');
  // The first delimiter may stand at the very beginning, without the line end before it.
  let at = body.indexOf(delimiter.subarray(2)) === 0 ? delimiter.length - 2 : -1;
  if (at === -1) return null;
  const parts: FormPart[] = [];
  while (parts.length < MAX_PARTS) {
    const mark = body.toString('latin1', at, at + 2);
    if (mark === '--') return parts;
    const end = mark === '\r\n' ? body.indexOf(delimiter, at + 2) : -1;
    if (end === -1) return null;
    const part = parsePart(body.subarray(at + 2, end));
    if (part === null) return null;
    parts.push(part);
    at = end + delimiter.length;
  }
  return null;
}

function parsePart(bytes: Buffer): FormPart | null {
  const headEnd = bytes.indexOf('\r\n\r\n');
  if (headEnd === -1) return null;
  const head = bytes.toString('utf8', 0, headEnd);
  const disposition = /^content-disposition:\s*form-data;(.*)$/im.exec(head)?.[1] ?? '';
  const name = /(?:^|;)\s*name="([^"]*)"/i.exec(disposition)?.[1];
  if (name === undefined) return null;
  const filename = /;\s*filename="([^"]*)"/i.exec(disposition)?.[1] ?? null;
  return { name, filename, content: bytes.subarray(headEnd + 4) };
}

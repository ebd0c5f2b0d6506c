/**
 * Duty: a body that must be seen whole, and one with a secret in it.
 * Holds: nothing is made of the secret before the writer asks for it; the writer zeroes what it was given, `cancel` as well.
 * Fails: `request_body_too_large`, what the body throws; `body_malformed`, `credential_place_missing` (refusals).
 */
import { EgressError } from '../core/errors.ts';
import type { Field, SecretText } from '../core/headers.ts';
import { type Body, collectBody, type RequestHead } from '../core/message.ts';
import { allocateSecretBytes } from '../core/secret.ts';
import type { PlacedBody, Refusal } from './placement.ts';

export interface WholeBodyRequest {
  readonly head: RequestHead;
  readonly body: Body;
  continue(): void;
}

export const hasBody = ({ framing }: RequestHead): boolean =>
  framing.kind !== 'none' && (framing.kind !== 'length' || framing.length > 0);

/** Digests of the body as it was: no longer true. */
const DIGESTS: ReadonlySet<string> = new Set(['content-md5', 'digest', 'content-digest', 'repr-digest']);

export const withoutDigests = (fields: readonly Field[]): readonly Field[] =>
  fields.filter(({ key }) => !DIGESTS.has(key));

/** @throws EgressError `request_body_too_large`. */
export async function wholeBody(request: WholeBodyRequest, maxBytes: number): Promise<Buffer> {
  const { length } = request.body;
  // Said before the workload sends what nobody wants.
  if (length !== null && length > maxBytes) throw new EgressError('request_body_too_large');
  request.continue();
  const bytes = await collectBody(request.body, maxBytes);
  if (bytes === null) throw new EgressError('request_body_too_large');
  return bytes;
}

/** Null where there is a body of that media type, as it is and not encoded. */
export function bodyRefusal(head: RequestHead, type: RegExp, name: string): Refusal | null {
  if (!hasBody(head))
    return {
      refused: 'credential_place_missing',
      detail: 'the credential goes into the body, and the request has none',
    };
  const codings = head.headers.getAll('content-encoding').filter((coding) => !/^(?:identity)?$/i.test(coding));
  if (codings.length > 0) return { refused: 'body_malformed', detail: 'the body is encoded; send it as it is' };
  const types = head.headers.getAll('content-type');
  if (types.length === 1 && type.test(types[0] ?? '')) return null;
  return { refused: 'body_malformed', detail: `the Content-Type is not ${name}` };
}

export function secretBody(text: SecretText): PlacedBody {
  return { body: new SecretBody(text), framing: { kind: 'length', length: text.byteLength }, isSecret: true };
}

class SecretBody implements Body {
  readonly length: number;
  readonly trailers = null;
  readonly #text: SecretText;
  #isTaken = false;
  #bytes: Buffer | null = null;

  constructor(text: SecretText) {
    this.#text = text;
    this.length = text.byteLength;
  }

  get isOver(): boolean {
    return this.#isTaken;
  }

  take(): Buffer | null {
    if (this.#isTaken) return null;
    this.#isTaken = true;
    const bytes = allocateSecretBytes(this.length);
    this.#bytes = bytes;
    this.#text.copyTo(bytes, 0);
    return bytes;
  }

  async read(): Promise<Buffer | null> {
    return this.take();
  }

  cancel(): void {
    this.#isTaken = true;
    this.#bytes?.fill(0);
  }
}

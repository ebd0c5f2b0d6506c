/**
 * Duty: hop 7 without a network: shows what would have gone onto the wire, and answers or fails as it is told.
 * Holds: a head is serialised as the real stage does it, secret fields included; the body is pulled at once, as a fast
 *   upstream would; a response body is cut where the signal aborts.
 */
import { EgressError, type ErrorCode, toEgressError } from '../../src/core/errors.ts';
import { HeaderList } from '../../src/core/headers.ts';
import { type Body, EMPTY_BODY, type Framing } from '../../src/core/message.ts';
import { serializeRequestHead } from '../../src/http1/head-writer.ts';
import type { AuthorizedRequest } from '../../src/injection/authorized-request.ts';
import type { UpstreamResponse } from '../../src/upstream/upstream-response.ts';

export interface Arrival {
  readonly request: AuthorizedRequest;
  /** Request line and fields, in order, the credential among them. */
  readonly lines: readonly string[];
  /** All of the body, when it is here. Rejects where it broke. */
  readonly body: Promise<string>;
  respond(response: UpstreamResponse): void;
  fail(error: EgressError): void;
}

/** A body that goes on as told. */
export class ToldBody implements Body {
  readonly length: number | null;
  trailers: HeaderList | null = null;
  isCancelled = false;
  #ready: (Buffer | EgressError | null)[] = [];
  #wake: (() => void) | null = null;

  constructor(length: number | null) {
    this.length = length;
  }

  goesOn(text: string): void {
    this.#add(Buffer.from(text));
  }

  ends(trailers: HeaderList | null = null): void {
    this.trailers = trailers;
    this.#add(null);
  }

  breaks(error: EgressError): void {
    this.#add(error);
  }

  async read(): Promise<Buffer | null> {
    while (this.#ready.length === 0) await new Promise<void>((resolve) => (this.#wake = resolve));
    const next = this.#ready[0] ?? null;
    // An end and a failure stay.
    if (Buffer.isBuffer(next)) this.#ready.shift();
    if (next instanceof EgressError) throw next;
    return next;
  }

  take(): Buffer | null {
    return Buffer.isBuffer(this.#ready[0]) ? (this.#ready.shift() as Buffer) : null;
  }

  get isOver(): boolean {
    return this.#ready[0] === null;
  }

  cancel(): void {
    this.isCancelled = true;
  }

  #add(next: Buffer | EgressError | null): void {
    this.#ready.push(next);
    this.#wake?.();
    this.#wake = null;
  }
}

export interface Told {
  readonly status: number;
  readonly reason: string;
  readonly fields: readonly (readonly [string, string])[];
  readonly framing: Framing;
  readonly body: Body;
}

const NOTHING: Told = { status: 204, reason: '', fields: [], framing: { kind: 'none' }, body: EMPTY_BODY };

export class FakeUpstream {
  readonly arrivals: Arrival[] = [];
  /** Called when a request leaves, before anybody sees it. */
  onArrival: (request: AuthorizedRequest) => void = () => {};
  /** Answers everything with this status, asked or not. */
  automatic: number | null = null;
  #waiting: ((arrival: Arrival) => void)[] = [];
  #unseen: Arrival[] = [];
  #current: Arrival | null = null;

  send(request: AuthorizedRequest, signal: AbortSignal): Promise<UpstreamResponse> {
    this.onArrival(request);
    const head = serializeRequestHead(request.head, request.secretFields, request.secretTarget).toString('latin1');
    const body = textOf(request.body);
    return new Promise((resolve, reject) => {
      const abort = (): void => reject(toEgressError(signal.reason));
      if (signal.aborted) abort();
      signal.addEventListener('abort', abort, { once: true });
      // As the real stage: a request whose body breaks is cut off.
      body.catch((thrown: unknown) => reject(toEgressError(thrown)));
      const arrival: Arrival = {
        request,
        lines: head.split('\r\n').filter(Boolean),
        body,
        respond: (response) => {
          // As the real stage: who waits for the rest of an answer is told when the workload has left.
          if (response.body instanceof ToldBody) {
            const { body: told } = response;
            signal.addEventListener('abort', () => told.breaks(toEgressError(signal.reason)), { once: true });
          }
          resolve(response);
        },
        fail: reject,
      };
      this.arrivals.push(arrival);
      if (this.automatic !== null) {
        this.#current = arrival;
        this.respond({ ...NOTHING, status: this.automatic });
        return;
      }
      const waiter = this.#waiting.shift();
      if (waiter === undefined) this.#unseen.push(arrival);
      else waiter(arrival);
    });
  }

  /** The next request that nobody looked at yet. */
  async next(): Promise<Arrival> {
    const arrival = this.#unseen.shift() ?? (await new Promise<Arrival>((resolve) => this.#waiting.push(resolve)));
    this.#current = arrival;
    return arrival;
  }

  respond({ status, reason, fields, framing, body }: Told): void {
    const arrival = this.#seen();
    arrival.respond({
      request: arrival.request,
      head: { status, reason, version: '1.1', headers: HeaderList.of(...fields), framing, keepAlive: true },
      body: framing.kind === 'none' ? EMPTY_BODY : body,
      address: '192.0.2.1',
      reusedConnection: false,
    });
  }

  fail(code: ErrorCode): void {
    this.#seen().fail(new EgressError(code));
  }

  #seen(): Arrival {
    if (this.#current === null) throw new Error('upstream.sees comes before the answer');
    return this.#current;
  }
}

async function textOf(body: Body): Promise<string> {
  const chunks: Buffer[] = [];
  for (let chunk = await body.read(); chunk !== null; chunk = await body.read()) chunks.push(chunk);
  return Buffer.concat(chunks).toString('latin1');
}

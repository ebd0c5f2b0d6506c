/**
 * Duty: calls the admin server of a running proxy.
 * In → Out: method, path, body → parsed JSON.
 * Fails: AdminUnreachable where nothing listens; AdminRefusal with the server's words otherwise; what the signal says.
 */
import { request } from 'node:http';

export class AdminUnreachable extends Error {
  override readonly name = 'AdminUnreachable';
  readonly code = 'unreachable';
}

export class AdminRefusal extends Error {
  override readonly name = 'AdminRefusal';
  /** Stable, as in the tables of config/README.md; also `instance_unknown`, `not_found`. */
  readonly code: string;
  /** HTTP status. */
  readonly status: number;

  constructor(code: string, status: number, message: string) {
    super(message);
    this.code = code;
    this.status = status;
  }
}

export interface AdminCallOptions {
  readonly signal?: AbortSignal | undefined;
  /** For the proxy's record. */
  readonly name?: string;
  /** 10 s where left out. */
  readonly timeoutMs?: number;
}

const TIMEOUT_MS = 10_000;

/** @throws AdminUnreachable @throws AdminRefusal */
export function callAdmin(
  socketPath: string,
  method: string,
  path: string,
  body?: unknown,
  { signal, name = 'countersign', timeoutMs = TIMEOUT_MS }: AdminCallOptions = {},
): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const call = request(
      {
        ...{ socketPath, method, path },
        ...(signal === undefined ? {} : { signal }),
        timeout: timeoutMs,
        headers: { host: 'localhost', 'content-type': 'application/json', 'user-agent': name },
      },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () => {
          const text = Buffer.concat(chunks).toString('utf8');
          const status = response.statusCode ?? 0;
          if (status >= 200 && status < 300) return resolve(text === '' ? null : JSON.parse(text));
          reject(refusal(status, text));
        });
      },
    );
    call.on('timeout', () => call.destroy(new Error(`no answer within ${timeoutMs / 1000} s`)));
    call.on('error', (error: NodeJS.ErrnoException) => {
      if (signal?.aborted === true) return reject(signal.reason);
      const absent = error.code === 'ENOENT' || error.code === 'ECONNREFUSED';
      reject(absent ? new AdminUnreachable(`no proxy listens on ${socketPath}`) : error);
    });
    call.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

function refusal(status: number, text: string): AdminRefusal {
  try {
    const { code, title = `status ${status}`, detail } = JSON.parse(text) as Record<string, string | null>;
    return new AdminRefusal(code ?? 'unknown', status, detail ?? `${title}`);
  } catch {
    return new AdminRefusal('unknown', status, `the proxy answered ${status}`);
  }
}

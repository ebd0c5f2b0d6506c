/**
 * Duty: calls the admin server of a running proxy.
 * In → Out: method, path, body → parsed JSON.
 * Fails: `AdminUnreachable` where nothing listens; AdminRefusal with the server's words otherwise.
 */
import { request } from 'node:http';

export class AdminUnreachable extends Error {
  override readonly name = 'AdminUnreachable';
}

export class AdminRefusal extends Error {
  override readonly name = 'AdminRefusal';
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

const TIMEOUT_MS = 10_000;

/** @throws AdminUnreachable @throws AdminRefusal */
export function callAdmin(socketPath: string, method: string, path: string, body?: unknown): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const call = request(
      {
        socketPath,
        method,
        path,
        timeout: TIMEOUT_MS,
        headers: { host: 'localhost', 'content-type': 'application/json' },
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
    call.on('timeout', () => call.destroy(new Error(`no answer within ${TIMEOUT_MS / 1000} s`)));
    call.on('error', (error: NodeJS.ErrnoException) => {
      const absent = error.code === 'ENOENT' || error.code === 'ECONNREFUSED';
      reject(absent ? new AdminUnreachable(`no proxy listens on ${socketPath}`) : error);
    });
    call.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

function refusal(status: number, text: string): AdminRefusal {
  try {
    const {
      code = 'unknown',
      title = `status ${status}`,
      detail = null,
    } = JSON.parse(text) as Record<string, string | null>;
    return new AdminRefusal(code ?? 'unknown', detail ?? `${title}`);
  } catch {
    return new AdminRefusal('unknown', `the proxy answered ${status}`);
  }
}

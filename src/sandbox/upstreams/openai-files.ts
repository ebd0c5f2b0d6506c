/**
 * Duty: /v1/files of the sandbox: upload, list, show, content, delete.
 * Holds: at most 100 files and 32 MiB, in memory.
 * Not here: the multipart form (multipart.ts).
 */
import type { Clock } from '../../core/clock.ts';
import { bytesAnswer, type Judgement, newId, type SandboxAnswer, type SandboxRequest } from './message.ts';
import { parseMultipart } from './multipart.ts';
import { openaiError, openaiFields, openaiJson } from './openai-answer.ts';

interface StoredFile {
  readonly id: string;
  readonly filename: string;
  readonly purpose: string;
  /** Epoch seconds, as OpenAI counts. */
  readonly createdAt: number;
  readonly content: Buffer;
}

const MAX_FILES = 100;
const MAX_TOTAL_BYTES = 32 * 1024 * 1024;
const ROUTE = /^\/v1\/files\/([A-Za-z0-9_-]+)(\/content)?$/;

export class OpenaiFiles {
  readonly #clock: Clock;
  readonly #files = new Map<string, StoredFile>();
  #totalBytes = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  answer(judgement: Judgement, request: SandboxRequest): SandboxAnswer {
    const { method, path } = request;
    if (path === '/v1/files') {
      if (method === 'GET') return this.#list(judgement);
      if (method === 'POST') return this.#upload(judgement, request);
      return openaiError(judgement, 405, `Not allowed to ${method} on ${path}`, 'method_not_supported');
    }
    const route = ROUTE.exec(path);
    const file = route?.[1] === undefined ? undefined : this.#files.get(route[1]);
    if (file === undefined) return openaiError(judgement, 404, `No such File object: ${route?.[1] ?? ''}`, null);
    if (route?.[2] !== undefined) {
      if (method !== 'GET') return openaiError(judgement, 405, `Not allowed to ${method}`, 'method_not_supported');
      return bytesAnswer(judgement, 200, 'application/octet-stream', file.content, openaiFields());
    }
    if (method === 'GET') return openaiJson(judgement, shown(file));
    if (method !== 'DELETE') return openaiError(judgement, 405, `Not allowed to ${method}`, 'method_not_supported');
    this.#files.delete(file.id);
    this.#totalBytes -= file.content.length;
    return openaiJson(judgement, { id: file.id, object: 'file', deleted: true });
  }

  #list(judgement: Judgement): SandboxAnswer {
    const data = [...this.#files.values()].map((file) => shown(file));
    const ends = { first_id: data[0]?.['id'] ?? null, last_id: data.at(-1)?.['id'] ?? null };
    return openaiJson(judgement, { object: 'list', data, has_more: false, ...ends });
  }

  #upload(judgement: Judgement, request: SandboxRequest): SandboxAnswer {
    const form = parseMultipart(request.headers.get('content-type') ?? '', request.body);
    if (form === null) return openaiError(judgement, 400, 'The body is not a multipart form', null);
    const file = form.find((part) => part.name === 'file');
    const purpose = form.find((part) => part.name === 'purpose')?.content.toString('utf8');
    if (file === undefined || file.filename === null) return openaiError(judgement, 400, "'file' is required", null);
    if (purpose === undefined) return openaiError(judgement, 400, "'purpose' is a required property", null);
    if (this.#files.size >= MAX_FILES || this.#totalBytes + file.content.length > MAX_TOTAL_BYTES) {
      return openaiError(judgement, 413, 'The sandbox keeps no more files', null);
    }
    const createdAt = Math.floor(this.#clock.now() / 1000);
    // A copy, for the part is a window on the whole form.
    const stored = {
      id: newId('file-'),
      filename: file.filename,
      purpose,
      createdAt,
      content: Buffer.from(file.content),
    };
    this.#files.set(stored.id, stored);
    this.#totalBytes += stored.content.length;
    return openaiJson(judgement, shown(stored));
  }
}

function shown(file: StoredFile): Record<string, unknown> {
  return {
    id: file.id,
    object: 'file',
    bytes: file.content.length,
    created_at: file.createdAt,
    filename: file.filename,
    purpose: file.purpose,
    status: 'processed',
  };
}

/**
 * Duty: one question to an identity provider or an API server, one JSON document as the answer.
 * In → Out: URL, roots, body → the parsed document.
 * Holds: https with verified names, http on loopback alone; no redirect is followed; the answer is small and quick or it is
 *   cut; one connection for each question, so that nothing is shared.
 * Fails: `identity_required`, with a detail that quotes nothing of the answer.
 * Source: RFC 9110 §15.4 (redirects).
 */
import { readFile } from 'node:fs/promises';
import { type ClientRequest, type IncomingMessage, request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { rootCertificates } from 'node:tls';
import { parseControlUrl } from '../../core/control-url.ts';
import { EgressError } from '../../core/errors.ts';

export interface JsonQuestion {
  readonly url: string;
  /** PEM, read anew for each question: a cluster replaces its roots. Null: the public ones. */
  readonly caFile: string | null;
  /** Asks by POST. */
  readonly body?: object;
  readonly bearer?: string;
}

const DEADLINE_MS = 5_000;
const MAX_ANSWER_BYTES = 256 * 1024;

export const unproven = (detail: string, cause?: unknown): EgressError =>
  new EgressError('identity_required', { detail, cause });

/** @throws EgressError `identity_required`. */
export async function askJson(question: JsonQuestion): Promise<unknown> {
  const url = parseControlUrl(question.url);
  if (url === null) throw unproven('only https is asked, or http on loopback');
  const ca = question.caFile === null ? rootCertificates.join('\n') : await readRoots(question.caFile);
  const text = await exchange(url, question, ca);
  try {
    return JSON.parse(text);
  } catch {
    throw unproven('the answer is not JSON');
  }
}

async function readRoots(caFile: string): Promise<string> {
  try {
    return await readFile(caFile, 'utf8');
  } catch (cause) {
    throw unproven(`the CA file cannot be read (${codeOf(cause)})`, cause);
  }
}

function exchange(url: URL, { body, bearer }: JsonQuestion, ca: string): Promise<string> {
  const bytes = body === undefined ? null : Buffer.from(JSON.stringify(body));
  const headers = {
    accept: 'application/json',
    'accept-encoding': 'identity',
    ...(bytes === null ? {} : { 'content-type': 'application/json', 'content-length': bytes.length }),
    ...(bearer === undefined ? {} : { authorization: `Bearer ${bearer}` }),
  };
  const common = { method: bytes === null ? 'GET' : 'POST', headers, agent: false, maxHeaderSize: 16_384 };
  return new Promise((resolve, reject) => {
    const call: ClientRequest =
      url.protocol === 'https:'
        ? requestHttps(url, { ...common, ca, minVersion: 'TLSv1.2' })
        : requestHttp(url, common);
    // What is thrown at a request that has its response reaches nobody, so the promise is settled first.
    const fail = (error: Error): void => {
      reject(error);
      call.destroy();
    };
    const timer = setTimeout(() => fail(unproven('there was no answer in time')), DEADLINE_MS);
    call.once('close', () => clearTimeout(timer));
    call.on('error', (cause) => fail(unproven(`the connection failed (${codeOf(cause)})`, cause)));
    call.once('response', (response) => {
      collect(response).then(resolve, (cause: unknown) =>
        fail(cause instanceof EgressError ? cause : unproven('the answer ended early', cause)),
      );
    });
    call.end(bytes ?? undefined);
  });
}

async function collect(response: IncomingMessage): Promise<string> {
  const status = response.statusCode ?? 0;
  if (status < 200 || status > 299) throw unproven(`the answer has the status ${status}`);
  if (Number(response.headers['content-length'] ?? 0) > MAX_ANSWER_BYTES) throw tooLarge();
  if ((response.headers['content-encoding'] ?? 'identity') !== 'identity') throw unproven('the answer is encoded');
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_ANSWER_BYTES) throw tooLarge();
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

const tooLarge = (): EgressError => unproven('the answer is larger than 256 KiB');
const codeOf = (thrown: unknown): string => (thrown as NodeJS.ErrnoException).code ?? 'unknown';

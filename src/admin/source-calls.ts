/**
 * Duty: the calls of the admin API that are about credential sources.
 * In → Out: method and path → an answer; null where the call is another's.
 */
import type { SourceRotation } from '../client/answers.ts';
import type { AdminAnswer, AdminCall } from './instance-calls.ts';

export interface SourceActions {
  /** Null where the policy has no such source. */
  rotate(source: string, by: string | null): Promise<SourceRotation | null>;
}

const ROTATE = /^\/v1\/sources\/([^/]{1,1024})\/rotate$/;
const NAME = /^[a-z0-9./-]{1,320}$/;

export async function sourceCall(actions: SourceActions, call: AdminCall): Promise<AdminAnswer | null> {
  const [, encoded] = ROTATE.exec(call.path) ?? [];
  if (encoded === undefined || call.method !== 'POST') return null;
  const name = decoded(encoded);
  const body = NAME.test(name) ? await actions.rotate(name, call.by) : null;
  if (body !== null) return { status: 200, body };
  return {
    status: 404,
    body: {
      code: 'source_unknown',
      title: 'There is no such credential source',
      detail: `the policy has no CredentialSource ${NAME.test(name) ? name : 'of that name'}; outside the namespace default it is namespace/name`,
    },
  };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return '';
  }
}

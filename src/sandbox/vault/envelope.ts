/**
 * Duty: a reply in Vault's JSON.
 * In → Out: `VaultReply` → status and body; null body: none is sent.
 * Source: Vault HTTP API, the common response envelope.
 */

import { randomUUID } from 'node:crypto';
import { toSeconds } from './durations.ts';
import type { Answer, JsonObject, VaultReply } from './reply.ts';

export interface RenderedReply {
  readonly status: number;
  readonly body: JsonObject | null;
}

export function renderReply(reply: VaultReply): RenderedReply {
  switch (reply.kind) {
    case 'raw':
      return { status: reply.status, body: reply.body };
    case 'refusal':
      return { status: reply.status, body: { errors: reply.errors } };
    case 'answer':
      return { status: reply.status, body: envelope(reply) };
  }
}

function envelope(reply: Answer): JsonObject {
  const lease = reply.leaseShown;
  const common = {
    request_id: reply.wrapInfo === null ? randomUUID() : '',
    lease_id: lease?.id ?? '',
    renewable: lease?.renewable ?? false,
    lease_duration: toSeconds(lease?.durationMs ?? 0),
    data: reply.data,
    wrap_info: reply.wrapInfo,
    warnings: reply.warnings.length === 0 ? null : reply.warnings,
    auth: reply.auth,
  };
  return reply.isSpread ? { ...reply.data, ...common } : common;
}

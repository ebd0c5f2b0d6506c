/**
 * Duty: what is known of Mistral.
 * Source: Mistral API reference. It documents no call that answers with a credential.
 */
import type { ProviderPreset } from '../options.ts';
import { BEARER, safeCalls, streams } from './lines.ts';

export const MISTRAL: ProviderPreset = {
  name: 'mistral',
  hosts: ['api.mistral.ai', 'codestral.mistral.ai'],
  slots: [BEARER],
  injection: { kind: 'bearer' },
  minting: [],
  safe: safeCalls(
    'POST /v1/chat/completions',
    'POST /v1/fim/completions',
    'POST /v1/agents/completions',
    'POST /v1/embeddings',
    'POST /v1/moderations',
    'POST /v1/ocr',
    'POST /v1/audio/transcriptions',
    'GET,HEAD /v1/models',
    'GET,HEAD /v1/models/*',
  ),
  expired: { statuses: [401], codes: [] },
  streams: streams(
    'events: POST /v1/chat/completions',
    'events: POST /v1/fim/completions',
    'events: POST /v1/agents/completions',
    'events: POST /v1/conversations',
  ),
};

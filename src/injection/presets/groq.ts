/**
 * Duty: what is known of Groq.
 * Source: Groq API reference. It documents no call that answers with a credential.
 */
import type { ProviderPreset } from '../options.ts';
import { BEARER, safeCalls, streams } from './lines.ts';

export const GROQ: ProviderPreset = {
  name: 'groq',
  hosts: ['api.groq.com'],
  slots: [BEARER],
  injection: { kind: 'bearer' },
  minting: [],
  safe: safeCalls(
    'POST /openai/v1/chat/completions',
    'POST /openai/v1/responses',
    'POST /openai/v1/embeddings',
    'POST /openai/v1/audio/speech',
    'POST /openai/v1/audio/transcriptions',
    'POST /openai/v1/audio/translations',
    'GET,HEAD /openai/v1/models',
    'GET,HEAD /openai/v1/models/**',
  ),
  expired: { statuses: [401], codes: ['invalid_api_key', 'expired_api_key'] },
  streams: streams(
    'events: POST /openai/v1/chat/completions',
    'events: POST /openai/v1/responses',
    'chunks: POST /openai/v1/audio/speech',
  ),
  baseUrls: [{ variable: 'GROQ_BASE_URL', path: '', key: 'GROQ_API_KEY' }],
};

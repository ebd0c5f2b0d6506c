/**
 * Duty: what is known of OpenAI.
 * Source: OpenAI API reference; openai-node (realtime subprotocol, workload identity); organization API.
 */
import type { ProviderPreset } from '../options.ts';
import { BEARER, mintingPaths, safeCalls, streams } from './lines.ts';

export const OPENAI: ProviderPreset = {
  name: 'openai',
  hosts: ['api.openai.com', 'eu.api.openai.com', 'us.api.openai.com', 'auth.openai.com'],
  slots: [
    BEARER,
    { in: 'subprotocol', prefix: 'openai-insecure-api-key.' },
    // Not keys, but the browser's way to say what `tenants` says.
    { in: 'subprotocol', prefix: 'openai-organization.' },
    { in: 'subprotocol', prefix: 'openai-project.' },
  ],
  tenants: ['openai-organization', 'openai-project'],
  injection: { kind: 'bearer' },
  minting: mintingPaths(
    'POST /v1/realtime/client_secrets',
    'POST /v1/realtime/*/client_secrets',
    'POST /v1/realtime/sessions',
    'POST /v1/realtime/transcription_sessions',
    'POST /v1/chatkit/sessions',
    // Projects, service accounts, admin keys, invitations.
    '* /v1/organization/**',
    '* /v1/organizations/**',
    '* /v1/dashboard/**',
    '* /dashboard/**',
    'POST /oauth/**',
  ),
  safe: safeCalls(
    'POST /v1/chat/completions',
    'POST /v1/responses',
    'POST /v1/responses/compact',
    'POST /v1/responses/input_tokens',
    'POST /v1/completions',
    'POST /v1/embeddings',
    'POST /v1/moderations',
    'POST /v1/images/generations',
    'POST /v1/images/edits',
    'POST /v1/audio/speech',
    'POST /v1/audio/transcriptions',
    'POST /v1/audio/translations',
    'GET /v1/realtime websocket',
    'GET,HEAD /v1/models',
    'GET,HEAD /v1/models/*',
  ),
  expired: { statuses: [401], codes: ['invalid_api_key', 'account_deactivated'] },
  streams: streams(
    'events: POST /v1/chat/completions',
    'events: POST /v1/completions',
    'events: POST /v1/responses',
    'events: GET /v1/responses/*',
    'events: POST /v1/images/generations',
    'events: POST /v1/images/edits',
    'events: POST /v1/audio/transcriptions',
    'events: POST /v1/threads/runs',
    'events: POST /v1/threads/*/runs',
    'chunks: POST /v1/audio/speech',
    'chunks: GET /v1/files/*/content',
    'websocket: GET /v1/realtime',
  ),
  baseUrls: [{ variable: 'OPENAI_BASE_URL', path: '/v1', key: 'OPENAI_API_KEY' }],
};

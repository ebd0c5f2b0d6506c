/**
 * Duty: what is known of Azure OpenAI.
 * Source: Azure OpenAI REST reference; Azure AI services authentication (key, Entra token, issued token).
 */
import type { ProviderPreset } from '../options.ts';
import { BEARER, headerSlot, mintingPaths, querySlot, safeCalls, streams } from './lines.ts';

export const AZURE_OPENAI: ProviderPreset = {
  name: 'azure-openai',
  hosts: ['*.openai.azure.com', '*.cognitiveservices.azure.com', '*.services.ai.azure.com', '*.openai.azure.us'],
  slots: [
    headerSlot('api-key'),
    BEARER,
    headerSlot('ocp-apim-subscription-key'),
    querySlot('api-key'),
    querySlot('subscription-key'),
    { in: 'subprotocol', prefix: 'openai-insecure-api-key.' },
  ],
  injection: { kind: 'header', name: 'api-key', format: '{}' },
  minting: mintingPaths(
    // Exchanges a key for a bearer token.
    '* /sts/**',
    'POST /openai/realtimeapi/sessions',
    'POST /openai/realtime/sessions',
    'POST /openai/realtime/client_secrets',
    'POST /openai/realtime/transcription_sessions',
    'POST /openai/v1/realtime/sessions',
    'POST /openai/v1/realtime/client_secrets',
    'POST /openai/v1/realtime/transcription_sessions',
    '* /openai/v1/organization/**',
  ),
  safe: safeCalls(
    'POST /openai/deployments/*/chat/completions',
    'POST /openai/deployments/*/completions',
    'POST /openai/deployments/*/embeddings',
    'POST /openai/deployments/*/images/generations',
    'POST /openai/deployments/*/audio/speech',
    'POST /openai/deployments/*/audio/transcriptions',
    'POST /openai/responses',
    'POST /openai/v1/chat/completions',
    'POST /openai/v1/embeddings',
    'POST /openai/v1/responses',
    'GET /openai/realtime websocket',
    'GET /openai/v1/realtime websocket',
    'GET,HEAD /openai/models',
    'GET,HEAD /openai/v1/models',
  ),
  expired: { statuses: [401], codes: [] },
  streams: streams(
    'events: POST /openai/deployments/*/chat/completions',
    'events: POST /openai/deployments/*/completions',
    'events: POST /openai/responses',
    'events: POST /openai/v1/chat/completions',
    'events: POST /openai/v1/responses',
    'chunks: POST /openai/deployments/*/audio/speech',
    'websocket: GET /openai/realtime',
    'websocket: GET /openai/v1/realtime',
  ),
  baseUrls: [{ variable: 'AZURE_OPENAI_ENDPOINT', path: '', key: 'AZURE_OPENAI_API_KEY' }],
};

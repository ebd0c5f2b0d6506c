/**
 * Duty: what is known of the Gemini API.
 * Source: Gemini API reference; ephemeral tokens guide; Google system parameters (key, access_token, oauth_token).
 */
import type { ProviderPreset } from '../options.ts';
import { BEARER, headerSlot, mintingPaths, querySlot, safeCalls, streams } from './lines.ts';

export const GEMINI: ProviderPreset = {
  name: 'gemini',
  hosts: ['generativelanguage.googleapis.com'],
  slots: [headerSlot('x-goog-api-key'), querySlot('key'), BEARER, querySlot('access_token'), querySlot('oauth_token')],
  tenants: ['x-goog-user-project'],
  injection: { kind: 'header', name: 'x-goog-api-key', format: '{}' },
  minting: mintingPaths(
    '* /*/auth_tokens/**',
    '* /*/authTokens/**',
    // A batch carries other calls in its body.
    '* /batch/**',
  ),
  // The method stands behind the model: `gemini-2.5-flash:generateContent`.
  safe: safeCalls(
    'POST /v1/models/*',
    'POST /v1beta/models/*',
    'POST /v1alpha/models/*',
    'POST /v1beta/openai/chat/completions',
    'POST /v1beta/openai/embeddings',
    'GET /ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent websocket',
    'GET,HEAD /v1/models',
    'GET,HEAD /v1/models/*',
    'GET,HEAD /v1beta/models',
    'GET,HEAD /v1beta/models/*',
  ),
  expired: { statuses: [400, 401], codes: ['API_KEY_INVALID', 'UNAUTHENTICATED'] },
  streams: streams(
    'events: POST /v1/models/*',
    'events: POST /v1beta/models/*',
    'events: POST /v1alpha/models/*',
    'events: POST /v1beta/openai/chat/completions',
    'websocket: GET /ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent',
  ),
  baseUrls: [{ variable: 'GOOGLE_GEMINI_BASE_URL', path: '', key: 'GEMINI_API_KEY' }],
};

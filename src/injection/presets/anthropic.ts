/**
 * Duty: what is known of Anthropic.
 * Source: Anthropic API reference; anthropic-sdk-python (x-api-key) and -typescript (bearer); Admin API.
 */
import type { ProviderPreset } from '../options.ts';
import { BEARER, headerSlot, mintingPaths, safeCalls, streams } from './lines.ts';

export const ANTHROPIC: ProviderPreset = {
  name: 'anthropic',
  hosts: ['api.anthropic.com'],
  slots: [headerSlot('x-api-key'), BEARER],
  injection: { kind: 'header', name: 'x-api-key', format: '{}' },
  minting: mintingPaths('* /v1/organizations/**', 'POST /v1/oauth/**', 'POST /api/oauth/**', 'POST /oauth/**'),
  safe: safeCalls(
    'POST /v1/messages',
    'POST /v1/messages/count_tokens',
    'POST /v1/complete',
    'GET,HEAD /v1/models',
    'GET,HEAD /v1/models/*',
  ),
  expired: { statuses: [401], codes: ['authentication_error'] },
  streams: streams(
    'events: POST /v1/messages',
    'events: POST /v1/complete',
    'chunks: GET /v1/messages/batches/*/results',
  ),
  baseUrls: [{ variable: 'ANTHROPIC_BASE_URL', path: '', key: 'ANTHROPIC_API_KEY' }],
};

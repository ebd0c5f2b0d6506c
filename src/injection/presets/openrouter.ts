/**
 * Duty: what is known of OpenRouter.
 * Source: OpenRouter API reference (provisioning keys, OAuth PKCE).
 */
import type { ProviderPreset } from '../options.ts';
import { BEARER, headerSlot, mintingPaths, safeCalls, streams } from './lines.ts';

export const OPENROUTER: ProviderPreset = {
  name: 'openrouter',
  hosts: ['openrouter.ai'],
  slots: [BEARER, headerSlot('x-api-key')],
  injection: { kind: 'bearer' },
  minting: mintingPaths('* /api/v1/keys/**', '* /api/v1/auth/**', '* /api/frontend/**'),
  safe: safeCalls(
    'POST /api/v1/chat/completions',
    'POST /api/v1/completions',
    'POST /api/v1/responses',
    'POST /api/v1/messages',
    'POST /api/v1/embeddings',
    'GET,HEAD /api/v1/models/**',
    'GET,HEAD /api/v1/providers',
  ),
  expired: { statuses: [401], codes: [] },
  streams: streams(
    'events: POST /api/v1/chat/completions',
    'events: POST /api/v1/completions',
    'events: POST /api/v1/responses',
    'events: POST /api/v1/messages',
  ),
};

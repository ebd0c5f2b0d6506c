/**
 * Duty: what is known of Hugging Face.
 * Source: Hub API reference; huggingface_hub (Xet read and write tokens).
 */
import type { ProviderPreset } from '../options.ts';
import { BASIC, BEARER, mintingPaths, safeCalls, streams } from './lines.ts';

export const HUGGINGFACE: ProviderPreset = {
  name: 'huggingface',
  hosts: ['huggingface.co', 'router.huggingface.co', 'api-inference.huggingface.co', '*.endpoints.huggingface.cloud'],
  // Basic is what git sends.
  slots: [BEARER, BASIC],
  injection: { kind: 'bearer' },
  minting: mintingPaths(
    '* /oauth/**',
    '* /api/settings/**',
    // Tokens for the content store; a repository has one or two name segments.
    '* /api/*/*/xet-read-token/**',
    '* /api/*/*/*/xet-read-token/**',
    '* /api/*/*/xet-write-token/**',
    '* /api/*/*/*/xet-write-token/**',
    '* /api/spaces/*/*/jwt',
  ),
  safe: safeCalls(
    'GET,HEAD /**',
    'POST /v1/chat/completions',
    'POST /v1/embeddings',
    'POST /v1/responses',
    'POST /models/**',
    'POST /hf-inference/models/**',
  ),
  expired: { statuses: [401], codes: [] },
  streams: streams(
    'events: POST /v1/chat/completions',
    'events: POST /v1/responses',
    'events: POST /hf-inference/models/**',
  ),
};

/**
 * Duty: what is known of Cohere.
 * Source: Cohere API reference. It documents no call that answers with a credential.
 */
import type { ProviderPreset } from '../options.ts';
import { BEARER, safeCalls, streams } from './lines.ts';

export const COHERE: ProviderPreset = {
  name: 'cohere',
  hosts: ['api.cohere.com', 'api.cohere.ai'],
  slots: [BEARER],
  injection: { kind: 'bearer' },
  minting: [],
  safe: safeCalls(
    'POST /v1/chat',
    'POST /v2/chat',
    'POST /v1/embed',
    'POST /v2/embed',
    'POST /v1/rerank',
    'POST /v2/rerank',
    'POST /v1/classify',
    'POST /v1/tokenize',
    'POST /v1/detokenize',
    'POST /compatibility/v1/chat/completions',
    'POST /compatibility/v1/embeddings',
    'GET,HEAD /v1/models',
    'GET,HEAD /v1/models/*',
  ),
  expired: { statuses: [401], codes: [] },
  streams: streams('events: POST /v1/chat', 'events: POST /v2/chat', 'events: POST /compatibility/v1/chat/completions'),
  baseUrls: [{ variable: 'CO_API_URL', path: '', key: 'CO_API_KEY' }],
};

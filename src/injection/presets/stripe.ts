/**
 * Duty: what is known of Stripe.
 * Source: Stripe API reference (ephemeral keys, session objects with client secrets, webhook secrets, secret store).
 */
import type { ProviderPreset } from '../options.ts';
import { BASIC, BEARER, mintingPaths, safeCalls } from './lines.ts';

export const STRIPE: ProviderPreset = {
  name: 'stripe',
  hosts: ['api.stripe.com', 'files.stripe.com', 'connect.stripe.com'],
  slots: [BEARER, BASIC],
  injection: { kind: 'bearer' },
  minting: mintingPaths(
    'POST /v1/ephemeral_keys',
    'POST /v1/account_sessions',
    'POST /v1/customer_sessions',
    'POST /v1/terminal/connection_tokens',
    'POST /v1/accounts/*/login_links',
    'POST /v1/webhook_endpoints',
    '* /v1/apps/secrets/**',
    '* /oauth/**',
  ),
  safe: safeCalls('GET,HEAD /**'),
  expired: { statuses: [401], codes: ['api_key_expired'] },
  streams: [],
};

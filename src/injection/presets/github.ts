/**
 * Duty: what is known of GitHub: REST, git over https, the container registry.
 * Source: GitHub REST reference; numeric aliases `/repositories/*`, `/organizations/*`, `/api/v3` of Enterprise Server.
 */
import type { ProviderPreset } from '../options.ts';
import { BASIC, BEARER, mintingPaths, querySlot, safeCalls, streams } from './lines.ts';

const REST_CALLS = [
  'POST /app/installations/*/access_tokens',
  'POST /installations/*/access_tokens',
  'POST /app-manifests/*/conversions',
  'POST /app/hook/**',
  '* /applications/*/token/**',
  '* /applications/*/tokens/**',
  '* /authorizations/**',
  '* /copilot_internal/**',
  // Keys that the caller holds and that outlive the lease.
  'POST /user/keys',
  'POST /user/ssh_signing_keys',
  'POST /user/gpg_keys',
  'POST /repos/*/*/keys',
  'POST /repositories/*/keys',
  ...['/repos/*/*', '/repositories/*', '/orgs/*', '/organizations/*', '/enterprises/*'].flatMap((owner) => [
    `POST ${owner}/actions/runners/registration-token`,
    `POST ${owner}/actions/runners/remove-token`,
    `POST ${owner}/actions/runners/generate-jitconfig`,
  ]),
];

export const GITHUB: ProviderPreset = {
  name: 'github',
  hosts: ['api.github.com', 'github.com', 'uploads.github.com', 'raw.githubusercontent.com', 'ghcr.io'],
  slots: [BEARER, { in: 'header', name: 'authorization', scheme: 'token' }, BASIC, querySlot('access_token')],
  injection: { kind: 'bearer' },
  minting: mintingPaths(
    ...REST_CALLS,
    ...REST_CALLS.map((line) => line.replace(' /', ' /api/v3/')),
    '* /login/oauth/**',
    'POST /login/device/**',
    // The registry's token exchange.
    '* /token',
  ),
  // `git fetch` posts what it wants to have.
  safe: safeCalls('GET,HEAD /**', 'POST /*/*/git-upload-pack'),
  expired: { statuses: [401], codes: ['Bad credentials'] },
  streams: streams(
    'chunks: GET /repos/*/*/tarball/**',
    'chunks: GET /repos/*/*/zipball/**',
    'chunks: POST /*/*/git-upload-pack',
  ),
};

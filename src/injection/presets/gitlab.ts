/**
 * Duty: what is known of GitLab.
 * Source: GitLab REST reference (access, deploy, trigger and runner tokens; CI variables), GraphQL mutations of tokens.
 */
import type { ProviderPreset } from '../options.ts';
import { BASIC, BEARER, headerSlot, mintingPaths, querySlot, safeCalls, streams } from './lines.ts';

export const GITLAB: ProviderPreset = {
  name: 'gitlab',
  hosts: ['gitlab.com', 'registry.gitlab.com'],
  slots: [
    headerSlot('private-token'),
    BEARER,
    BASIC,
    headerSlot('job-token'),
    headerSlot('deploy-token'),
    querySlot('private_token'),
    querySlot('access_token'),
    querySlot('job_token'),
  ],
  injection: { kind: 'header', name: 'private-token', format: '{}' },
  minting: mintingPaths(
    'POST /api/v4/personal_access_tokens/**',
    'POST /api/v4/user/personal_access_tokens/**',
    'POST /api/v4/users/*/personal_access_tokens/**',
    'POST /api/v4/users/*/impersonation_tokens/**',
    'POST /api/v4/*/*/access_tokens/**',
    'POST /api/v4/*/*/deploy_tokens/**',
    'POST /api/v4/*/*/triggers/**',
    'POST /api/v4/groups/*/service_accounts/*/personal_access_tokens/**',
    'POST /api/v4/projects/*/service_accounts/*/personal_access_tokens/**',
    'POST /api/v4/projects/*/cluster_agents/*/tokens',
    'POST /api/v4/runners/**',
    'POST /api/v4/user/runners',
    'POST /api/v4/*/*/runners/**',
    '* /api/v4/applications/**',
    // Keys that the caller holds and that outlive the lease.
    'POST /api/v4/user/keys',
    'POST /api/v4/users/*/keys',
    'POST /api/v4/projects/*/deploy_keys/**',
    // Secrets of pipelines, in clear text.
    '* /api/v4/*/*/variables/**',
    '* /api/v4/admin/**',
    // Mutations that create tokens are told from others by the body only.
    '* /api/graphql',
    '* /oauth/**',
    '* /jwt/**',
  ),
  safe: safeCalls('GET,HEAD /**', 'POST /*/*/git-upload-pack'),
  expired: { statuses: [401], codes: ['invalid_token'] },
  streams: streams('chunks: GET /api/v4/projects/*/repository/archive', 'chunks: POST /*/*/git-upload-pack'),
};

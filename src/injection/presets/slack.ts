/**
 * Duty: what is known of Slack's Web API.
 * Source: Slack API methods reference; every method takes GET and POST alike.
 */
import type { ProviderPreset } from '../options.ts';
import { BEARER, mintingPaths, querySlot, safeCalls } from './lines.ts';

const READING = [
  'api.test',
  'auth.test',
  'bots.info',
  'conversations.history',
  'conversations.info',
  'conversations.list',
  'conversations.members',
  'conversations.replies',
  'emoji.list',
  'pins.list',
  'reactions.get',
  'team.info',
  'usergroups.list',
  'users.conversations',
  'users.info',
  'users.list',
  'users.profile.get',
];

export const SLACK: ProviderPreset = {
  name: 'slack',
  hosts: ['slack.com', 'www.slack.com', 'files.slack.com'],
  slots: [BEARER, querySlot('token')],
  injection: { kind: 'bearer' },
  minting: mintingPaths(
    '* /api/oauth.access',
    '* /api/oauth.token',
    '* /api/oauth.v2.access',
    '* /api/oauth.v2.exchange',
    '* /api/openid.connect.token',
    '* /api/tooling.tokens.rotate',
    // Answers with client secret and signing secret.
    '* /api/apps.manifest.create',
    '* /api/apps.auth.external.get',
    // Addresses with a ticket in them.
    '* /api/apps.connections.open',
    '* /api/rtm.connect',
    '* /api/rtm.start',
  ),
  safe: safeCalls(...READING.map((method) => `GET,POST /api/${method}`)),
  // Slack says so in a 200.
  expired: { statuses: [200, 401], codes: ['token_expired', 'token_revoked', 'invalid_auth'] },
  streams: [],
};

/** Duty: `spec.openaiAdmin`: its words and what they mean. */
import { z } from 'zod';
import type { OpenaiAdminSourceOptions } from '../../credential/options.ts';
import { durationMs } from '../quantities.ts';
import { duration, spelled, text } from '../shapes.ts';
import { baseUrl, endpointOf, lifetimeOf } from './provider-shape.ts';
import type { SourceDocument } from './source-document.ts';

export const openaiAdminShape = z.strictObject({
  project: spelled('the id of a project', /^[A-Za-z0-9_-]{1,128}$/, 'proj_abc'),
  adminKey: z.strictObject({ file: text, groupReadable: z.boolean().optional(), rotateEvery: duration.optional() }),
  organization: spelled('the id of an organization', /^[A-Za-z0-9_-]{1,128}$/, 'org-abc').optional(),
  name: text.optional(),
  ttl: duration.optional(),
  owner: spelled('lower-case letters and digits, at most 16', /^[a-z0-9]{1,16}$/, 'production').optional(),
  baseUrl: baseUrl.optional(),
  caFile: text.optional(),
});

const DEFAULT_NAME = 'countersign-{{workload.id}}';
const DEFAULT_OWNER = 'countersign';
const LEAST_ROTATION = '1h';

export function compileOpenaiAdmin(
  openai: z.infer<typeof openaiAdminShape>,
  source: SourceDocument,
): OpenaiAdminSourceOptions {
  const accountName = openai.name ?? DEFAULT_NAME;
  source.checkTemplate(['name'], 'name', accountName);
  const { rotateEvery, groupReadable } = openai.adminKey;
  const rotateEveryMs = rotateEvery === undefined ? null : durationMs(rotateEvery);
  if (rotateEveryMs !== null && rotateEveryMs < durationMs(LEAST_ROTATION))
    source.refuse(
      ['adminKey', 'rotateEvery'],
      `the admin key is looked at every hour, so ${rotateEvery} is too short`,
      'write 720h, or leave it out',
    );
  return {
    kind: 'openaiAdmin',
    name: source.name,
    ...endpointOf(source, openai, 'https://api.openai.com/v1'),
    project: openai.project,
    organization: openai.organization ?? null,
    adminKey: { path: source.resolve(openai.adminKey.file), isGroupReadable: groupReadable ?? false, rotateEveryMs },
    accountName,
    owner: openai.owner ?? DEFAULT_OWNER,
    ttlMs: lifetimeOf(source, openai.ttl, '1h', ['1m', '24h']),
  };
}

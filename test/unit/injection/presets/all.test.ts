import { describe, expect, it } from 'vitest';
import { PRESETS } from '../../../../src/injection/presets/all.ts';

const NAMES =
  'openai azure-openai anthropic gemini mistral cohere groq openrouter huggingface github gitlab slack stripe aws'.split(
    ' ',
  );
const HOST = /^(?:\*\.)?[a-z0-9-]+(?:\.[a-z0-9-]+)+$/;
const PATH = /^(?:\/(?:\*|[A-Za-z0-9._~-]+))*(?:\/\*\*)?$/;
const METHOD = /^[A-Z]+$/;

it('every provider of the list has its preset under its own name', () => {
  expect([...PRESETS.keys()]).toEqual(NAMES);
  for (const [name, preset] of PRESETS) expect(preset.name).toBe(name);
});

describe.each([...PRESETS.values()])('$name', (preset) => {
  it('names hosts, slots and the signs of an expired key', () => {
    expect(preset.hosts.length).toBeGreaterThan(0);
    for (const host of preset.hosts) expect(host).toMatch(HOST);
    expect(preset.slots.length).toBeGreaterThan(0);
    for (const slot of preset.slots) if (slot.in === 'header') expect(slot.name).toBe(slot.name.toLowerCase());
    expect(preset.expired.statuses.length).toBeGreaterThan(0);
  });

  it('has patterns that can be matched', () => {
    for (const { method, path, call } of preset.minting) {
      expect((path === null) !== (call === null)).toBe(true);
      if (method !== null) expect(method).toMatch(METHOD);
      if (path !== null) expect(path).toMatch(PATH);
      if (call !== null) expect(call).toMatch(/^[a-z0-9-]+:[A-Z][A-Za-z0-9]+$/);
    }
    for (const { methods, path } of preset.safe) {
      expect(path).toMatch(PATH);
      for (const method of methods) expect(method).toMatch(METHOD);
    }
  });

  it('lists nothing twice', () => {
    const minting = preset.minting.map(({ method, path, call }) => `${method} ${path} ${call}`);
    expect(new Set(minting).size).toBe(minting.length);
    const slots = preset.slots.map((slot) => JSON.stringify(slot));
    expect(new Set(slots).size).toBe(slots.length);
  });

  it('injects into a slot that it declares', () => {
    const { injection, slots } = preset;
    if (injection.kind === 'header') expect(slots).toContainEqual({ in: 'header', name: injection.name, scheme: null });
    if (injection.kind === 'bearer')
      expect(slots).toContainEqual({ in: 'header', name: 'authorization', scheme: 'Bearer' });
    if (injection.kind === 'header') expect(injection.format.split('{}').length).toBe(2);
  });
});

it('AWS has every call that the threat model names', () => {
  const calls = new Set(PRESETS.get('aws')?.minting.map(({ call }) => call));
  for (const call of [
    'sts:AssumeRole',
    'sts:AssumeRoleWithSAML',
    'sts:AssumeRoleWithWebIdentity',
    'sts:GetSessionToken',
    'sts:GetFederationToken',
    's3:CreateSession',
    's3:GetDataAccess',
    'iam:CreateAccessKey',
    'ecr:GetAuthorizationToken',
    'ecr-public:GetAuthorizationToken',
    'codeartifact:GetAuthorizationToken',
    'cognito-identity:GetCredentialsForIdentity',
    'awsssoportal:GetRoleCredentials',
    'redshift:GetClusterCredentials',
    'secretsmanager:GetSecretValue',
    'ssm:GetParameter',
  ]) {
    expect(calls).toContain(call);
  }
});

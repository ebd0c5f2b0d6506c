import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PRESETS } from '../../../src/injection/presets/all.ts';
import { decide } from '../../../src/policy/decide.ts';
import { ask, binding, head, policy, revision, service, told } from './question.ts';

/** Everything is allowed; only the list of minting calls stands in the way. */
const open = (provider: string) =>
  revision({
    services: [service(provider, ['x.test:443'], provider)],
    bindings: [binding([provider])],
    policies: [policy('p', [{ mints: true }])],
  });

const REFUSED = ['mints_credentials', 'path_ambiguous', 'call_ambiguous'];

describe('paths that mint', () => {
  it.each([
    ['openai', 'POST', '/v1/realtime/client_secrets'],
    ['openai', 'POST', '/v1/realtime/sessions'],
    ['openai', 'POST', '/v1/realtime/transcription_sessions'],
    ['openai', 'POST', '/v1/chatkit/sessions'],
    ['openai', 'POST', '/v1/organization/projects/p/service_accounts'],
    ['openai', 'POST', '/v1/organization/admin_api_keys'],
    ['openai', 'GET', '/v1/organization'],
    ['anthropic', 'POST', '/v1/organizations/api_keys'],
    ['gemini', 'POST', '/v1alpha/auth_tokens'],
    ['azure-openai', 'POST', '/sts/v1.0/issueToken'],
    ['openrouter', 'POST', '/api/v1/keys'],
    ['huggingface', 'GET', '/api/models/a/b/xet-read-token/main'],
    ['github', 'POST', '/app/installations/1/access_tokens'],
    ['github', 'POST', '/api/v3/app/installations/1/access_tokens'],
    ['github', 'POST', '/repos/o/r/actions/runners/registration-token'],
    ['github', 'GET', '/token?scope=repository:o/r:pull'],
    ['gitlab', 'POST', '/api/v4/projects/1/access_tokens'],
    ['gitlab', 'POST', '/api/v4/projects/group%2Fproject/access_tokens'],
    ['gitlab', 'POST', '/api/v4/projects/a%2Fb%2Fc/access_tokens/7/rotate'],
    ['gitlab', 'POST', '/api/v4/projects/1/access_tokens.json'],
    ['gitlab', 'POST', '/api/graphql'],
    ['slack', 'POST', '/api/oauth.v2.access'],
    ['stripe', 'POST', '/v1/ephemeral_keys'],
  ])('%s %s %s is refused under a rule that allows everything', (provider, method, target) => {
    expect(told(decide(ask(open(provider), 'x.test', head(method, target))))).toBe('mints_credentials');
  });

  it.each([
    ['openai', 'POST', '/v1/chat/completions'],
    ['openai', 'GET', '/v1/realtime'],
    ['openai', 'GET', '/v1/organizational'],
    ['openai', 'GET', '/v1/files/a%20b'],
    ['github', 'GET', '/repos/o/r/contents/docs%2Freadme.md'],
    ['gitlab', 'GET', '/api/v4/projects/group%2Fproject/repository/files/lib%2Fclass%2Erb/raw'],
    ['slack', 'POST', '/api/chat.postMessage'],
  ])('%s %s %s passes', (provider, method, target) => {
    expect(told(decide(ask(open(provider), 'x.test', head(method, target))))).toBe('permit p/0');
  });

  it.each([
    ['//v1/realtime/sessions', 'path_ambiguous'],
    ['/v1//realtime/sessions', 'path_ambiguous'],
    ['/v1/realtime//sessions/', 'path_ambiguous'],
    ['/v1/x/../realtime/sessions', 'path_ambiguous'],
    ['/v1/./realtime/sessions', 'path_ambiguous'],
    ['/v1/%2e/realtime/sessions', 'path_ambiguous'],
    ['/v1/x/%2E%2e/realtime/sessions', 'path_ambiguous'],
    ['/v1/x%2F..%2Frealtime/sessions', 'path_ambiguous'],
    ['/v1\\realtime\\sessions', 'path_ambiguous'],
    ['/v1%5crealtime/sessions', 'path_ambiguous'],
    ['/v1/realtime/sessions;x=1', 'path_ambiguous'],
    ['/v1/realtime/sessions%3bx', 'path_ambiguous'],
    ['/v1/realtime/sessions%3Fx', 'path_ambiguous'],
    ['/v1/realtime/sessions%23', 'path_ambiguous'],
    ['/v1/realtime/sessions%00', 'path_ambiguous'],
    ['/v1/realtime/sessions%0a', 'path_ambiguous'],
    ['/v1/realtime/sessions%7f', 'path_ambiguous'],
    ['/v1/realtime/sessions\u00a0', 'path_ambiguous'],
    ['/v1/realtime/sessions%', 'path_ambiguous'],
    ['/v1/realtime/sessions%2', 'path_ambiguous'],
    ['/v1/realtime/%u0073essions', 'path_ambiguous'],
    ['/v1/realtime%252fsessions', 'path_ambiguous'],
    ['/v1/realtime/%2573essions', 'path_ambiguous'],
    ['/v1%c0%afrealtime/sessions', 'path_ambiguous'],
    ['/v1%e0%80%afrealtime/sessions', 'path_ambiguous'],
    ['v1/realtime/sessions', 'path_ambiguous'],
    ['/v1%2frealtime%2Fsessions', 'mints_credentials'],
    ['/v1/realtime/%73essions', 'mints_credentials'],
    ['/V1/Realtime/SESSIONS', 'mints_credentials'],
    ['/v1/realtime/sessions/', 'mints_credentials'],
    ['/v1/realtime/sessions.json', 'mints_credentials'],
    ['/v1/realtime/sessions?x', 'mints_credentials'],
  ])('%s does not evade it: %s', (target, expected) => {
    expect(told(decide(ask(open('openai'), 'x.test', head('POST', target))))).toBe(expected);
  });

  it('a lower-case method does not evade it', () => {
    expect(told(decide(ask(open('openai'), 'x.test', head('post', '/v1/realtime/sessions'))))).toBe(
      'mints_credentials',
    );
  });

  it('no spelling of a minting path gets a permit', () => {
    const spelled = fc
      .constantFrom(...mintingTargets())
      .chain(([provider, method, path]) => fc.tuple(fc.constant(provider), fc.constant(method), spellingOf(path)));
    fc.assert(
      fc.property(spelled, ([provider, method, path]) => {
        expect(REFUSED).toContain(told(decide(ask(open(provider), 'x.test', head(method, path)))));
      }),
      { numRuns: 3_000 },
    );
  });
});

describe('a rule with mintsCredentials', () => {
  const under = (paths: readonly string[], target: string, mints = true): string => {
    const rules = revision({
      services: [service('openai', ['x.test:443'], 'openai')],
      policies: [policy('p', [{ paths, mints }])],
    });
    return told(decide(ask(rules, 'x.test', head('POST', target))));
  };

  it.each([
    [['/v1/realtime/client_secrets'], '/v1/realtime/client_secrets', true, 'permit p/0'],
    [
      ['/v1/organization/projects/*/service_accounts'],
      '/v1/organization/projects/p/service_accounts',
      true,
      'permit p/0',
    ],
    [['/v1/organization/**'], '/v1/organization/admin_api_keys', true, 'permit p/0'],
    [['/**', '/v1/realtime/sessions'], '/v1/realtime/sessions', true, 'permit p/0'],
    [['/v1/realtime/client_secrets'], '/v1/realtime/client_secrets', false, 'mints_credentials'],
    [['/v1/realtime/*'], '/v1/realtime/client_secrets', true, 'mints_credentials'],
    [['/v1/**'], '/v1/organization/admin_api_keys', true, 'mints_credentials'],
    [['/**'], '/v1/realtime/sessions', true, 'mints_credentials'],
    [['/*/*/*'], '/v1/realtime/sessions', true, 'mints_credentials'],
  ])('%j lets %s pass (%s): %s', (paths, target, mints, expected) => {
    expect(under(paths, target, mints)).toBe(expected);
  });

  it('does not help the workload where another rule matches first', () => {
    const rules = revision({
      services: [service('openai', ['x.test:443'], 'openai')],
      policies: [policy('p', [{}, { paths: ['/v1/realtime/sessions'], mints: true }])],
    });
    expect(told(decide(ask(rules, 'x.test', head('POST', '/v1/realtime/sessions'))))).toBe('mints_credentials');
  });

  it('does not exist without a policy', () => {
    const bound = revision({
      services: [service('github', ['x.test:443'], 'github')],
      bindings: [binding(['github'])],
    });
    expect(told(decide(ask(bound, 'x.test', head('GET', '/token'))))).toBe('mints_credentials');
  });
});

/** Each minting path with its wildcards filled in. */
function mintingTargets(): [string, string, string][] {
  return [...PRESETS.values()].flatMap((preset) =>
    preset.minting.flatMap(({ method, path }): [string, string, string][] =>
      path === null ? [] : [[preset.name, method ?? 'POST', path.replace('/**', '/rest').replaceAll('*', 'some')]],
    ),
  );
}

/** Changes that one server or another would undo. */
function spellingOf(path: string): fc.Arbitrary<string> {
  const escapeOf = (char: string): string => `%${char.charCodeAt(0).toString(16).padStart(2, '0')}`;
  const changes: ((text: string, at: number) => string)[] = [
    (text, at) => text.slice(0, at) + escapeOf(text[at] ?? 'x') + text.slice(at + 1),
    (text, at) => text.slice(0, at) + escapeOf(text[at] ?? 'x').toUpperCase() + text.slice(at + 1),
    (text, at) => text.slice(0, at) + (text[at] ?? '').toUpperCase() + text.slice(at + 1),
    (text) => text.replace('%', '%25'),
    (text, at) => insertAtSlash(text, at, '/'),
    (text, at) => insertAtSlash(text, at, '/.'),
    (text, at) => insertAtSlash(text, at, '/x/..'),
    (text, at) => insertAtSlash(text, at, '/%2e'),
    (text, at) => insertAtSlash(text, at, ';v=1'),
    (text) => text.replace(/\/(?=[^/]*$)/, '\\'),
    (text) => `${text}/`,
    (text) => `${text}.json`,
    (text) => `${text}%00`,
    (text) => `${text}%20`.replace('%20', '%09'),
    (text, at) => text.slice(0, at).replaceAll('/', '%2f') + text.slice(at),
  ];
  const change = fc.tuple(fc.constantFrom(...changes), fc.nat());
  return fc
    .array(change, { maxLength: 3 })
    .map((list) => list.reduce((text, [apply, n]) => apply(text, 1 + (n % (text.length - 1))), path));
}

function insertAtSlash(text: string, at: number, what: string): string {
  const slash = text.indexOf('/', at);
  return slash === -1 ? text : text.slice(0, slash) + what + text.slice(slash);
}

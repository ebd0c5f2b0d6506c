import { describe, expect, it } from 'vitest';
import { identity, load, OPENAI, proxy, refusals, service, source, warnings } from './policy-text.ts';

const vault = (rest: string): string => source(`{ vault: { address: "https://v:8200", path: kv/x, ${rest} } }`);
const compiled = (rest: string): unknown => load(service(OPENAI) + identity() + vault(rest)).sources[0];
const refused = (rest: string): string[] => refusals(vault(rest)).map((line) => line.replace(/^\d+:\d+ spec\./, ''));
const warned = (rest: string): string => warnings(service(OPENAI) + identity() + vault(rest)).join();

describe('logins to Vault', () => {
  it.each<[string, string, object]>([
    ['jwt by default', 'role: r', { kind: 'jwt', mount: 'jwt', role: 'r', audience: ['vault'] }],
    ['jwt at a path', 'role: r, auth: { jwt: { path: team/jwt } }', { kind: 'jwt', mount: 'team/jwt' }],
    [
      'kubernetes with the pod’s token',
      'role: r, auth: { kubernetes: {} }',
      {
        ...{ kind: 'kubernetes', mount: 'kubernetes', role: 'r' },
        tokenFile: '/var/run/secrets/kubernetes.io/serviceaccount/token',
      },
    ],
    [
      'approle',
      'auth: { approle: { roleId: id, secretId: { variable: SECRET_ID } } }',
      {
        ...{ kind: 'approle', mount: 'approle', roleId: 'id', wrappedAt: null },
        secretId: { kind: 'variable', name: 'SECRET_ID' },
      },
    ],
    [
      'approle without a secret id',
      'auth: { approle: { roleId: id } }',
      { kind: 'approle', secretId: null, wrappedAt: null },
    ],
    [
      'approle with a wrapped one',
      'role: r, auth: { approle: { path: ar, roleId: id, wrappedSecretId: { file: /run/w, groupReadable: true } } }',
      {
        ...{ kind: 'approle', mount: 'ar', wrappedAt: 'auth/ar/role/r/secret-id' },
        secretId: { kind: 'file', path: '/run/w', isGroupReadable: true },
      },
    ],
    [
      'cert',
      'auth: { cert: {} }, clientCertificate: { certificateFile: /c.pem, keyFile: /c.key }',
      { kind: 'cert', mount: 'cert', role: null },
    ],
    [
      'a token file',
      'auth: { token-file: { file: /run/sink } }',
      { kind: 'tokenFile', file: { kind: 'file', path: '/run/sink', isGroupReadable: false } },
    ],
    [
      'the token of the workload itself',
      'role: r, auth: { jwt: { path: cluster, forward: true } }',
      { kind: 'forwarded', mount: 'cluster', role: 'r' },
    ],
    [
      'the service account of the workload itself',
      'role: r, auth: { kubernetes: { forward: true } }',
      { kind: 'forwarded', mount: 'kubernetes', role: 'r' },
    ],
  ])('are compiled: %s', (_what, rest, auth) => {
    expect(compiled(rest)).toMatchObject({ auth });
  });

  it('warn of every way in which Vault sees the proxy alone', () => {
    expect(warned('role: r, auth: { kubernetes: { forward: true } }')).not.toMatch(/cannot tell workloads apart/);
    expect(warned('role: r')).not.toMatch(/cannot tell workloads apart/);
    for (const rest of [
      'role: r, auth: { kubernetes: {} }',
      'auth: { approle: { roleId: id } }',
      'auth: { cert: {} }, clientCertificate: { certificateFile: /c.pem, keyFile: /c.key }',
      'auth: { token-file: { file: /run/sink } }',
    ])
      expect(warned(rest)).toMatch(/cannot tell workloads apart/);
  });

  it('let the proxy revoke by the login that they have', () => {
    expect(compiled('role: r, auth: { kubernetes: {} }, revocation: { role: janitor }')).toMatchObject({
      revocation: { kind: 'kubernetes', mount: 'kubernetes', role: 'janitor' },
    });
    expect(compiled('auth: { approle: { roleId: id } }, revocation: {}')).toMatchObject({
      revocation: { kind: 'approle', roleId: 'id' },
    });
  });

  it('list the nodes that a redirect may lead to', () => {
    expect(compiled('role: r, redirects: ["https://v-1:8200"]')).toMatchObject({ redirects: ['https://v-1:8200'] });
    expect(warned('role: r, redirects: ["http://v-1:8200"]')).toMatch(/in clear/);
  });

  it.each<[string, string, RegExp]>([
    ['no role', 'auth: { jwt: {} }', /vault: "role" is missing; add the role of the auth method at which jwt logs in/],
    [
      'no role for a wrapped secret id',
      'auth: { approle: { roleId: i, wrappedSecretId: { file: f } } }',
      /"role" is missing/,
    ],
    [
      'a role of AppRole',
      'role: r, auth: { approle: { roleId: i } }',
      /AppRole knows the role by roleId; leave role out/,
    ],
    ['a role of a token', 'role: r, auth: { token-file: { file: f } }', /has no role to log in at; leave role out/],
    ['two methods', 'role: r, auth: { jwt: {}, kubernetes: {} }', /jwt and kubernetes exclude each other; keep one/],
    ['none', 'role: r, auth: {}', /"auth" is empty; write one of jwt, kubernetes, approle, cert, token-file/],
    ['a method that is none', 'role: r, auth: { userpass: {} }', /"userpass"/],
    ['two mounts', 'role: r, jwtAuthMethodPath: a, auth: { kubernetes: {} }', /given twice/],
    ['two tokens', 'role: r, auth: { kubernetes: { forward: true, tokenFile: f } }', /token is the workload’s own/],
    [
      'an audience of a foreign token',
      'role: r, auth: { jwt: { forward: true } }, audience: [x]',
      /leave audience out/,
    ],
    [
      'a revocation with a foreign token',
      'role: r, auth: { jwt: { forward: true } }, revocation: { role: j }',
      /leave revocation out/,
    ],
    ['an audience without a token', 'role: r, auth: { kubernetes: {} }, audience: [vault]', /leave audience out/],
    [
      'no certificate to log in with',
      'auth: { cert: {} }',
      /there is no certificate to log in with; add clientCertificate/,
    ],
    [
      'two secret ids',
      'role: r, auth: { approle: { roleId: i, secretId: { file: a }, wrappedSecretId: { file: b } } }',
      /given twice/,
    ],
    ['a secret id that is nowhere', 'auth: { approle: { roleId: i, secretId: {} } }', /is not said/],
    ['a secret id in the policy', 'auth: { approle: { roleId: i, secretId: abc } }', /secretId/],
    [
      'a role to revoke at where there is one login',
      'auth: { approle: { roleId: i } }, revocation: { role: j }',
      /has one login/,
    ],
    ['no role to revoke at', 'role: r, revocation: {}', /revocation: "role" is missing/],
    ['a template to revoke at', 'role: r, revocation: { role: "{{workload.id}}" }', /names no workload/],
    ['a redirect with a path', 'role: r, redirects: ["https://v/v1"]', /is not an origin without path/],
  ])('are refused: %s', (_what, rest, message) => {
    expect(refused(rest).join('\n')).toMatch(message);
  });

  it('pass no token on where workers keep it', () => {
    const rest = 'role: r, auth: { jwt: { forward: true } }';
    expect(refusals(vault(rest) + proxy('{ workers: 2 }')).join()).toMatch(/leave workers out/);
    expect(refusals(vault(rest) + proxy('{ workers: 1 }')).join()).not.toMatch(/workers/);
  });
});

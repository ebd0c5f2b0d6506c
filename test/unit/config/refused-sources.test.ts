import { describe } from 'vitest';
import { SOURCE_KINDS } from '../../../src/config/source-shape.ts';
import { identity, proxy, source } from './policy-text.ts';
import { refused, vault } from './refused.ts';

describe('sources and identities that are refused', () => {
  const address = (text: string): string => source(`{ vault: { address: "${text}", role: r, path: kv/x } }`);
  const kv = (text: string): string => source(`{ vault: { address: "https://v", role: r, path: "${text}" } }`);
  refused({
    'a source of no kind': [
      source('{}'),
      `5:7 spec: the kind of source is missing; write one of ${SOURCE_KINDS.join(', ')}`,
    ],
    'a token endpoint in clear': [
      source(
        '{ oauth2: { tokenUrl: "http://as.test/token", clientId: c, auth: { none: {} }, grant: { tokenExchange: {} } } }',
      ),
      '5:29 spec.oauth2.tokenUrl: credentials would cross the network in clear; write https; http is for this machine alone',
    ],
    'a token endpoint with a query': [
      source('{ oauth2: { tokenUrl: "https://as.test/token?x=1", clientId: c, auth: { none: {} } } }'),
      '5:29 spec.oauth2.tokenUrl: the text "https://as.test/token?x=1" is not a URL without query and final slash; for example https://login.example.com/oauth/token',
    ],
    'a client without proof that asks for itself': [
      source('{ oauth2: { tokenUrl: "https://as.test/token", clientId: c, auth: { none: {} } } }'),
      '5:73 spec.oauth2.auth: a client that proves nothing gets no token for itself; use clientSecret or privateKeyJwt',
    ],
    'a client with two proofs': [
      source(
        '{ oauth2: { tokenUrl: "https://as.test/t", clientId: c, auth: { none: {}, clientSecret: { file: s } } } }',
      ),
      '5:69 spec.oauth2.auth: clientSecret and none exclude each other; keep one',
    ],
    'a secret that is nowhere': [
      source('{ oauth2: { tokenUrl: "https://as.test/t", clientId: c, auth: { clientSecret: {} } } }'),
      '5:85 spec.oauth2.auth.clientSecret: where the secret is kept is not said; write file: /run/secrets/x, or variable: NAME',
    ],
    'a secret that is in two places': [
      source(
        '{ oauth2: { tokenUrl: "https://as.test/t", clientId: c, auth: { clientSecret: { file: s, variable: S } } } }',
      ),
      '5:85 spec.oauth2.auth.clientSecret: file and variable exclude each other; write file: /run/secrets/x, or variable: NAME',
    ],
    'no proof and no grant': [
      source('{ oauth2: { tokenUrl: "https://as.test/t", clientId: c, auth: {}, grant: {} } }'),
      '5:69 spec.oauth2.auth: "auth" is empty; write one of clientSecret, privateKeyJwt or none',
      '5:80 spec.oauth2.grant: "grant" is empty; write one of clientCredentials, refreshToken or tokenExchange',
    ],
    'two grants': [
      source(
        '{ oauth2: { tokenUrl: "https://as.test/t", clientId: c, auth: { none: {} }, grant: { refreshToken: { file: r }, tokenExchange: {} } } }',
      ),
      '5:90 spec.oauth2.grant: refreshToken and tokenExchange exclude each other; keep one',
    ],
    'a scope of two words': [
      source('{ oauth2: { tokenUrl: "https://as.test/t", clientId: c, auth: { none: {} }, scope: ["a b"] } }'),
      '5:91 spec.oauth2.scope[0]: the text "a b" is not a scope without spaces; for example read:orders',
    ],
    'an algorithm that is none': [
      source(
        '{ oauth2: { tokenUrl: "https://as.test/t", clientId: c, auth: { privateKeyJwt: { file: k, alg: HS256 } } } }',
      ),
      '5:102 spec.oauth2.auth.privateKeyJwt.alg: the text "HS256" is not one of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA; did you mean "RS256"?',
    ],
    'a program by its name': [
      source('{ exec: { command: [print-key] } }'),
      '5:27 spec.exec.command[0]: the program is no absolute path; write it like /usr/local/bin/print-key',
    ],
    'a command that is a line': [
      source('{ exec: { command: /bin/print-key -v } }'),
      '5:26 spec.exec.command: the text "/bin/print-key -v" is not a list; write [/bin/print-key -v]',
    ],
    'a program without a command': [
      source('{ exec: { command: [] } }'),
      '5:26 spec.exec.command: the list is empty; name at least one',
    ],
    'an unknown name in an argument': [
      source('{ exec: { command: [/bin/p, "{{workload.ids}}"] } }'),
      '5:35 spec.exec.command[1]: the argument has the unknown name "{{workload.ids}}"; did you mean {{workload.id}}?',
    ],
    'a timeout longer than anybody waits': [
      source('{ exec: { command: [/bin/p], timeout: 30s } }'),
      '5:45 spec.exec.timeout: 30s is out of bounds; from 100ms to 5s',
    ],
    'an account that is an option': [
      source('{ keyring: { service: s, account: --all } }'),
      '5:41 spec.keyring.account: the text "--all" is not a text that does not begin with "-"; for example openai',
    ],
    'the old words for env and exec': [
      source('{ command: {} }'),
      `5:9 spec.command: unknown key "command"; known are ${SOURCE_KINDS.toSorted().join(', ')}`,
    ],
    'a variable and fields': [
      source('{ env: { variable: A, fields: { key: B } } }'),
      '5:16 spec.env.variable: variable and fields exclude each other; keep fields, and name the key there',
    ],
    'no variable': [source('{ env: {} }'), '5:14 spec.env: no variable is named; write variable: OPENAI_KEY'],
    'a variable that is two parts': [
      source('{ env: { fields: { username: A, password: A } } }'),
      '5:24 spec.env.fields: one variable is two parts of the credential; name one for each',
    ],
    'a variable with a dash': [
      source('{ env: { variable: A-B } }'),
      '5:26 spec.env.variable: the text "A-B" is not the name of an environment variable; for example OPENAI_KEY',
    ],
    'a source of two kinds': [
      source('{ file: { path: k }, vault: { address: "https://v", role: r, path: kv/x } }'),
      '5:9 spec: a source is of one kind, and this is vault and file; keep one; write a document for each',
    ],
    'fields of a raw file': [
      source('{ file: { path: k, fields: { key: a } } }'),
      '5:26 spec.file.fields: a raw file is one key and has no fields; write format: json or env, or remove it',
    ],
    'a format that is none': [
      source('{ file: { path: k, format: yaml } }'),
      '5:34 spec.file.format: the text "yaml" is not one of raw, json, env; known are env, json, raw',
    ],
    'an address with a path': [
      address('https://v:8200/v1'),
      '5:27 spec.vault.address: the text "https://v:8200/v1" is not an origin without path, or "sandbox"; for example https://vault.internal:8200',
    ],
    'an address with a bad port': [
      address('https://v:82000'),
      '5:27 spec.vault.address: "https://v:82000" is not an origin: port is not a number from 1 to 65535; write it like https://vault.internal:8200',
    ],
    'the sandbox where there is none': [
      address('sandbox'),
      '5:27 spec.vault.address: there is no sandbox; add "sandbox: {}" to the Proxy document, or write the address of your Vault',
    ],
    'a role of the proxy itself that names a workload': [
      vault('revocation: { role: "janitor-{{workload.id}}" }'),
      '5:86 spec.vault.revocation.role: the role is for the proxy itself and names no workload; write a plain name',
    ],
    'an unknown name in braces': [
      kv('kv/{{workload.ids}}'),
      '5:55 spec.vault.path: the path has the unknown name "{{workload.ids}}"; did you mean {{workload.id}}?',
    ],
    'a brace too many': [
      kv('kv/{x}'),
      '5:55 spec.vault.path: the path has a brace that belongs to no name; names are written {{workload.id}}',
    ],
    'a path with a first slash': [
      kv('/kv/x'),
      '5:55 spec.vault.path: the path has an empty or a dot segment; write it without a first or last slash, openai/creds/my-role',
    ],
    'a path with the version of the API': [
      kv('v1/kv/x'),
      '5:55 spec.vault.path: the path begins with "v1/"; write what follows it; /v1/ is added',
    ],
    'a query in the path': [
      kv('kv/x?version=1'),
      '5:55 spec.vault.path: the path has a query, a fragment or a space; queries go under "parameters"',
    ],
    'two auth methods': [
      vault('jwtAuthMethodPath: a, auth: { jwt: {} }'),
      '5:88 spec.vault.auth: the auth method is given twice; keep jwtAuthMethodPath or auth',
    ],
    'a part of a credential that is none': [
      vault('fields: { keey: a }'),
      '5:76 spec.vault.fields.keey: unknown key "keey"; did you mean "key"?',
    ],
    'a source address alone': [
      identity('{ workloadID: w, selectors: [{ net:source: [10.0.0.1] }] }'),
      '5:24 spec.selectors: a source address alone identifies nobody; add unix:uid or cgroup:path, or use instance tokens alone',
    ],
    'a source that is no address': [
      identity('{ workloadID: w, selectors: [{ net:source: [10.0.0], unix:uid: [1] }] }'),
      '5:51 spec.selectors[0]["net:source"][0]: "10.0.0" is not an IP address; write it like 10.0.0.7, or a network like 10.0.0.0/8',
    ],
    'a source network with bits behind its prefix': [
      identity('{ workloadID: w, selectors: [{ net:source: [10.0.0.7/8], unix:uid: [1] }] }'),
      '5:51 spec.selectors[0]["net:source"][0]: "10.0.0.7/8" is not spelled canonically; write 10.0.0.0/8',
    ],
    'a selector twice': [
      identity('{ workloadID: w, selectors: [{ unix:uid: [1] }, { unix:uid: [2] }] }'),
      '5:57 spec.selectors[1]["unix:uid"]: the selector unix:uid is there twice; list all its values in one',
    ],
    'a process name that the kernel would cut off': [
      identity('{ workloadID: w, selectors: [{ process:name: [a-very-long-process], unix:uid: [1] }] }'),
      '5:53 spec.selectors[0]["process:name"][0]: the text "a-very-long-process" is not a process name as in /proc/PID/comm; for example python3',
    ],
    'an admin socket that cannot be bound': [
      proxy(`{ admin: { socket: /${'x'.repeat(120)} } }`),
      '5:26 spec.admin.socket: the path of the admin socket is longer than 107 bytes; name a shorter one under admin.socket, like /run/countersign/admin.sock',
    ],
    'a unix listener whose mode is no text': [
      proxy('{ listeners: { unix: { path: /run/p.sock, mode: 0660 } } }'),
      '5:55 spec.listeners.unix.mode: "0660" is an unusual spelling of a number; write plain digits, or quote it if it is a text',
    ],
    'a unix listener that workers would share': [
      proxy('{ workers: 2, listeners: { unix: { path: /run/p.sock } } }'),
      '5:40 spec.listeners.unix: a unix socket cannot be shared by worker processes; leave out workers, or the unix listener',
    ],
    'a unix listener that cannot be bound': [
      proxy(`{ listeners: { unix: { path: /${'x'.repeat(120)} } } }`),
      '5:36 spec.listeners.unix.path: the path of the unix socket is longer than 107 bytes; name a shorter one under listeners.unix.path, like /run/countersign/proxy.sock',
    ],
    'a listener on a name': [
      proxy('{ listeners: { explicit: { address: localhost } } }'),
      '5:43 spec.listeners.explicit.address: the text "localhost" is not an IP address; for example 127.0.0.1',
    ],
  });
});

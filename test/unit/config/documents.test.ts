import { describe, expect, it } from 'vitest';
import { AWS, documentOf, identity, load, OPENAI, PLAIN, problemsOf, refusals, service } from './policy-text.ts';

describe('the YAML of a policy file', () => {
  it('refuses a key that is there twice', () => {
    expect(refusals('kind: Service\nkind: Service\n')[0]).toBe(
      '2:1 kind: the key "kind" is there twice; keep one of the two',
    );
  });

  it('refuses a tag, since it changes a type behind the back of the reader', () => {
    expect(refusals(service('{ addresses: [{ address: a.test, port: !!int "443" }] }'))).toEqual([
      '5:52 spec.addresses[0].port: the tag "tag:yaml.org,2002:int" changes the type of a value; remove it',
    ]);
  });

  it('refuses YAML 1.1, where "no" is false', () => {
    expect(refusals(`%YAML 1.1\n${service(PLAIN)}`)).toEqual([
      '2:1 : the document asks for YAML 1.1; remove the %YAML line; 1.2 is read',
    ]);
  });

  it('refuses numbers that are not spelled as people do', () => {
    expect(refusals(service('{ addresses: [{ address: a.test, port: 0x1BB }] }'))).toEqual([
      '5:46 spec.addresses[0].port: "0x1BB" is an unusual spelling of a number; write plain digits, or quote it if it is a text',
    ]);
  });

  it('tells where the text is no YAML', () => {
    expect(refusals('a: [1\nb: 2')[0]).toMatch(/^2:1 : not valid YAML: .*check the indentation/);
    expect(refusals('a:\n\tb: 1')[0]).toMatch(/^2:1 : not valid YAML: .*indent with spaces$/);
  });

  it('follows a few aliases', () => {
    const text = `${service('{ addresses: &a [{ address: a.test }] }')}${service('{ addresses: [{ address: &h b.test }, { address: "*.c.test" }] }', 't')}`;
    expect(load(text).policy.services).toHaveLength(2);
    expect(refusals('a: *x\n')[0]).toBe('1:4 a: the alias has no anchor before it; write the value out');
  });

  it('ends a document that contains itself, and one that grows without end', () => {
    expect(problemsOf('a: &x [*x]\n').some(({ message }) => /nested too deeply|aliases/.test(message))).toBe(true);
    const levels = Array.from(
      { length: 20 },
      (_, i) => `l${i + 1}: &l${i + 1} [${Array(10).fill(`*l${i}`).join(', ')}]`,
    );
    expect(problemsOf(`l0: &l0 [x]\n${levels.join('\n')}\n`).some(({ message }) => /aliases/.test(message))).toBe(true);
  });

  it('refuses the one key that would reach a prototype', () => {
    expect(refusals('__proto__: {}\n')[0]).toBe('1:1 __proto__: the key "__proto__" has no meaning here; remove it');
  });

  it('refuses a file beyond 1 MiB', () => {
    expect(refusals(`# ${'x'.repeat(1024 * 1024)}`)).toEqual([
      '1:1 : the file is larger than 1 MiB; split it; a folder of files is read as one',
    ]);
  });

  it('reads no policy at all as one, and skips empty documents', () => {
    expect(load('').policy.services).toEqual([]);
    expect(load('---\n# nothing\n---\n').identities).toEqual([]);
  });

  it('reports all that is wrong, by place', () => {
    const text = `${service('{ addresses: [{ address: A.test, port: "1" }], x: 1 }')}${identity('{ workloadID: 7 }')}`;
    expect(refusals(text).map((each) => each.split(' ')[0])).toEqual(['5:46', '5:54', '10:21']);
  });

  it('counts columns in a file with other documents before', () => {
    expect(
      refusals(
        `${service(OPENAI)}${service(AWS, 't')}${documentOf('Service', 'u', '\n  addresses:\n    - address: a.test\n      prt: 1')}`,
      ),
    ).toEqual(['18:7 spec.addresses[0].prt: unknown key "prt"; did you mean "port"?']);
  });
});

describe('secrets in a policy file', () => {
  // Joined here, so that no scanner takes this file for a leak.
  const KEYS = [
    ['an API key (sk-…)', `sk-${'proj-Ab12Cd34Ef56Gh78'}`],
    ['an AWS access key id', `AKIA${'IOSFODNN7EXAMPLE'}`],
    ['an AWS access key id', `ASIA${'IOSFODNN7EXAMPLE'}`],
    ['a Vault token', `hvs.${'CAESIJ2fAbCdEfGhIjKl'}`],
    ['a GitHub token', `ghp_${'a1'.repeat(18)}`],
    ['a Slack token', `xoxb-${'1234567890-abc'}`],
    ['a private key', `-----BEGIN ${'RSA PRIVATE KEY'}-----`],
  ] as const;

  for (const [kind, key] of KEYS) {
    it(`finds ${kind} ${key.slice(0, 4)}, and does not repeat it`, () => {
      for (const text of [
        `# ${key}\n`,
        `${key}: 1\nkind: "${key}"\n`,
        service(`{ addresses: [{ address: "${key}" }] }`),
      ]) {
        const problems = problemsOf(text);
        expect(problems.map(({ message }) => message)).toContain(
          `this looks like ${kind}; a secret is never written inline`,
        );
        expect(JSON.stringify(problems)).not.toContain(key);
      }
    });
  }

  it('tells where', () => {
    expect(refusals(`${service(PLAIN)}# my sk-${'abcdefgh12'}\n`)[0]).toMatch(/^6:6 : this looks like an API key/);
  });

  it('takes a placeholder and words with "sk-" in them for what they are', () => {
    expect(refusals(`# sk-placeholder-abcdefgh, task-management-service\n${service(PLAIN)}`)).toEqual([]);
  });
});

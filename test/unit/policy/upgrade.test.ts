import { describe, expect, it } from 'vitest';
import { decide } from '../../../src/policy/decide.ts';
import { explain } from '../../../src/policy/explain.ts';
import type { EgressPolicyOptions } from '../../../src/policy/options.ts';
import { ask, binding, head, policy, type RuleText, revision, service, told } from './question.ts';

const openai = service('openai', ['api.openai.com:443'], 'openai');
const plain = service('plain', ['plain.test:443']);

type Rule = RuleText & { readonly upgrade?: 'websocket' };

function rules(...given: readonly Rule[]): EgressPolicyOptions {
  const made = policy('p', given);
  const withUpgrade = made.rules.map((rule, i) => {
    const upgrade = given[i]?.upgrade;
    return upgrade === undefined ? rule : { ...rule, upgrade };
  });
  return { ...made, rules: withUpgrade };
}

const opening = (path: string) => ({ ...head('GET', path), upgrade: 'websocket' as const });

describe('a request that opens a WebSocket', () => {
  const cases: readonly [what: string, given: readonly Rule[], webSocket: string, plain: string][] = [
    ['matches no allow rule that does not say so', [{}], 'upgrade_denied', 'permit p/0'],
    ['matches the rule that does, which matches nothing else', [{ upgrade: 'websocket' }], 'permit p/0', 'rule_missing'],
    ['passes by a rule that is not for it', [{}, { upgrade: 'websocket' }], 'permit p/1', 'permit p/0'],
    ['is refused by a rule that refuses all', [{ action: 'deny' }, { upgrade: 'websocket' }], 'rule_denied', 'rule_denied'],
    ['is refused by a rule that refuses it alone', [{ action: 'deny', upgrade: 'websocket' }, {}, { upgrade: 'websocket' }], 'rule_denied', 'permit p/1'],
    ['needs the path as well', [{ upgrade: 'websocket', paths: ['/other'] }, {}], 'upgrade_denied', 'permit p/1'],
  ]; // biome-ignore format: a table
  it.each(cases)('%s', (_what, given, webSocket, other) => {
    const of = revision({ services: [plain], policies: [rules(...given)] });
    expect(told(decide(ask(of, 'plain.test', opening('/ws'))))).toBe(webSocket);
    expect(told(decide(ask(of, 'plain.test', head('GET', '/ws'))))).toBe(other);
  });

  it('without a policy is what the preset calls safe, and nothing where there is none', () => {
    const of = revision({ services: [openai, plain], bindings: [binding(['openai', 'plain'])] });
    expect(told(decide(ask(of, 'api.openai.com', opening('/v1/realtime'))))).toMatch(/^permit /);
    expect(told(decide(ask(of, 'api.openai.com', opening('/v1/models'))))).toBe('rule_missing');
    expect(told(decide(ask(of, 'api.openai.com', head('GET', '/v1/realtime'))))).toBe('rule_missing');
    expect(told(decide(ask(of, 'plain.test', opening('/'))))).toBe('rule_missing');
    expect(told(decide(ask(of, 'plain.test', head('GET', '/'))))).toMatch(/^permit /);
  });

  it('is explained', () => {
    const of = revision({ services: [plain], policies: [rules({}, { upgrade: 'websocket' })] });
    const { rules: traced } = explain(ask(of, 'plain.test', opening('/')));
    expect(traced.map(({ why }) => why)).toEqual(['other upgrade', 'matched']);
  });
});

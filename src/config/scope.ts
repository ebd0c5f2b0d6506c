/**
 * Duty: the scope of an instance as whoever creates it writes it: `[{"services": ["openai-api"], "methods": ["GET"]}]`.
 * In → Out: a JSON value → `Scope`, and back.
 * Holds: bounded; no rule without a condition, for that would be the whole policy.
 * Fails: `request_malformed`, with the place and what would be right.
 * Not here: what it does to a decision (policy/scope.ts).
 */
import { EgressError } from '../core/errors.ts';
import type { PathPattern, Scope, ScopeRule } from '../policy/options.ts';
import { parsePathPattern } from './path-pattern.ts';
import { quoted } from './problems.ts';

const MAX_RULES = 32;
const MAX_VALUES = 64;
const MAX_TEXT_LENGTH = 1_024;
const KEYS = ['services', 'methods', 'paths'] as const;
const METHOD = /^[A-Z][A-Z0-9_!#$%&'*+.^`|~-]{0,31}$/;
const SHAPE = 'write a list of rules like [{"services": ["openai-api"], "methods": ["GET"], "paths": ["/v1/models"]}]';

/** A scope as JSON has it; a key that is left out is no condition. */
export interface ScopeRuleText {
  readonly services?: readonly string[];
  readonly methods?: readonly string[];
  readonly paths?: readonly string[];
}

/** @throws EgressError `request_malformed`. */
export function parseScope(value: unknown): Scope {
  if (!Array.isArray(value)) throw malformed('scope', 'is no list', SHAPE);
  if (value.length === 0)
    throw malformed('scope', 'is empty, which would allow nothing', 'leave it out for all of the policy');
  if (value.length > MAX_RULES)
    throw malformed('scope', `has more than ${MAX_RULES} rules`, 'join rules by their lists');
  return Object.freeze(value.map((rule, i) => parseRule(rule, `scope[${i}]`)));
}

export function scopeText(scope: Scope): ScopeRuleText[] {
  return scope.map(({ services, methods, paths }) => ({
    ...(services === null ? {} : { services }),
    ...(methods === null ? {} : { methods }),
    ...(paths === null ? {} : { paths: paths.map(({ text }) => text) }),
  }));
}

function parseRule(value: unknown, at: string): ScopeRule {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw malformed(at, 'is no object', SHAPE);
  const given = value as Readonly<Record<string, unknown>>;
  const unknown = Object.keys(given).find((key) => !KEYS.some((known) => known === key));
  if (unknown !== undefined)
    throw malformed(at, `has the unknown key ${quoted(unknown)}`, `known are ${KEYS.join(', ')}`);
  const [services, methods, paths] = KEYS.map((key) => texts(given[key], `${at}.${key}`));
  if (services === null && methods === null && paths === null)
    throw malformed(at, 'has no condition', 'name services, methods or paths, or leave scope out');
  const wrong = methods?.find((method) => !METHOD.test(method));
  if (wrong !== undefined)
    throw malformed(`${at}.methods`, `has ${quoted(wrong)}`, 'methods have capital letters, like GET');
  return Object.freeze({
    services: services ?? null,
    methods: methods ?? null,
    paths: paths?.map((text) => parsePath(text, `${at}.paths`)) ?? null,
  });
}

function texts(value: unknown, at: string): string[] | null {
  if (value === undefined) return null;
  if (!Array.isArray(value) || value.length === 0 || value.length > MAX_VALUES)
    throw malformed(at, `is no list of 1 to ${MAX_VALUES} texts`, 'leave it out for no condition');
  return value.map((text: unknown) => {
    if (typeof text === 'string' && text.length > 0 && text.length <= MAX_TEXT_LENGTH) return text;
    throw malformed(at, `has what is no text of 1 to ${MAX_TEXT_LENGTH} characters`, SHAPE);
  });
}

function parsePath(text: string, at: string): PathPattern {
  const parsed = parsePathPattern(text);
  if ('fault' in parsed) throw malformed(at, `${quoted(text)} ${parsed.fault}`, parsed.hint);
  return parsed.pattern;
}

const malformed = (at: string, fault: string, hint: string): EgressError =>
  new EgressError('request_malformed', { detail: `${at}: ${fault}; ${hint}` });

/**
 * Duty: a mapping with keys that are known by name, and keys that are known by their form: `docker:label:<name>`.
 * Holds: a key that is neither is unknown; the JSON Schema has both.
 */
import { z } from 'zod';

export interface KeyFamily {
  /** As people write about it. */
  readonly title: string;
  readonly pattern: RegExp;
  readonly values: z.ZodType;
}

export const keyFamily = (title: string, pattern: RegExp, values: z.ZodType): KeyFamily => ({ title, pattern, values });

const FAMILIES = new WeakMap<z.ZodType, readonly KeyFamily[]>();

/** Of a mapping that `withFamilies` made; otherwise none. */
export const familiesOf = (mapping: z.ZodType): readonly KeyFamily[] => FAMILIES.get(mapping) ?? [];

export function withFamilies<T extends z.ZodRawShape>(
  named: z.ZodObject<T>,
  families: readonly KeyFamily[],
): z.ZodObject<T, z.core.$catchall<z.ZodUnknown>> {
  const check = z.core._check(
    (payload) => {
      const { value, issues } = payload as { value: Readonly<Record<string, unknown>>; issues: z.core.$ZodRawIssue[] };
      if (typeof value !== 'object' || value === null || Array.isArray(value)) return;
      const unknown: string[] = [];
      for (const [key, inner] of Object.entries(value)) {
        if (Object.hasOwn(named.shape, key)) continue;
        const family = families.find(({ pattern }) => pattern.test(key));
        if (family === undefined) unknown.push(key);
        else issues.push(...issuesOf(family.values, key, inner));
      }
      if (unknown.length > 0) issues.push({ code: 'unrecognized_keys', keys: unknown, input: value });
    },
    // Beside other problems too: all of them are told at once.
    { when: () => true },
  );
  const patternProperties = Object.fromEntries(
    families.map(({ pattern, values }) => [pattern.source, jsonSchemaOf(values)]),
  );
  const mapping = named.catchall(z.unknown()).check(check).meta({ patternProperties, additionalProperties: false });
  FAMILIES.set(mapping, families);
  return mapping;
}

function issuesOf(values: z.ZodType, key: string, value: unknown): z.core.$ZodRawIssue[] {
  const parsed = values.safeParse(value);
  if (parsed.success) return [];
  return parsed.error.issues.map(
    (issue) => ({ ...issue, path: [key, ...issue.path], input: value }) as z.core.$ZodRawIssue,
  );
}

function jsonSchemaOf(values: z.ZodType): object {
  const { $schema: _, ...schema } = z.toJSONSchema(values, { io: 'input', target: 'draft-2020-12' });
  return schema;
}

/**
 * Duty: finds what looks like a key in text that must not hold one.
 * In → Out: text → where, and of what kind; or the same text with all of it taken out.
 * Holds: comments count too, a key in a comment is out all the same. Doubt is a finding: a name can be changed.
 * Source: the published prefixes of the issuers (GitHub secret scanning patterns).
 */

interface KeyLook {
  readonly kind: string;
  readonly pattern: RegExp;
}

const look = (kind: string, source: string): KeyLook => ({
  kind,
  pattern: new RegExp(`(?<![A-Za-z0-9_])(?:${source})`, 'g'),
});

/** All are linear: a fixed prefix, then one class of characters. */
const LOOKS: readonly KeyLook[] = [
  look('an API key (sk-…)', 'sk-(?!placeholder)[A-Za-z0-9_-]{8,}'),
  look('a Stripe key', '[sr]k_(?:live|test)_[A-Za-z0-9]{10,}'),
  look('an AWS access key id', '(?:AKIA|ASIA)[A-Z0-9]{12,}'),
  look('a Vault token', 'hv[sbr]\\.[A-Za-z0-9_-]{8,}'),
  look('a GitHub token', '(?:gh[opusr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,})'),
  look('a GitLab token', 'glpat-[A-Za-z0-9_-]{16,}'),
  look('a Slack token', 'xox[abeoprs]-[A-Za-z0-9-]{10,}'),
  look('a Google API key', 'AIza[A-Za-z0-9_-]{30,}'),
  look('a Hugging Face token', 'hf_[A-Za-z0-9]{20,}'),
  look('a Groq key', 'gsk_[A-Za-z0-9]{20,}'),
  look('a JSON Web Token', 'eyJ[A-Za-z0-9_-]{8,}\\.eyJ[A-Za-z0-9_-]{8,}\\.'),
  look('a private key', '-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----'),
];

export interface FoundSecret {
  readonly kind: string;
  /** Where in the text it begins. */
  readonly offset: number;
}

export function findInlineSecrets(text: string): FoundSecret[] {
  return LOOKS.flatMap(({ kind, pattern }) =>
    [...text.matchAll(pattern)].map((match) => ({ kind, offset: match.index })),
  ).sort((one, other) => one.offset - other.offset);
}

/** For text that quotes the file. */
export function withoutSecrets(text: string): string {
  return LOOKS.reduce((rest, { pattern }) => rest.replace(pattern, '[redacted]'), text);
}

/**
 * Duty: looks for secrets in text that somebody outside may read, as a determined reader would.
 * In → Out: secrets and a text → where a secret stands in it, and in which form.
 * Holds: any 12 consecutive bytes of a secret count, raw or in a common encoding; base64 at all three offsets.
 */
const WINDOW = 12;

export interface Leak {
  readonly form: string;
  readonly found: string;
}

export function leaksIn(text: string, secrets: readonly string[]): Leak[] {
  const lower = text.toLowerCase();
  return secrets.flatMap((secret) => windowsOf(secret).flatMap((window) => leaksOf(window, text, lower)));
}

function leaksOf(window: string, text: string, lower: string): Leak[] {
  const bytes = Buffer.from(window);
  const forms: [string, string, string][] = [
    ['raw', window, text],
    ['reversed', [...window].reverse().join(''), text],
    ['hex', bytes.toString('hex'), lower],
    ['percent', [...bytes].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join(''), lower],
    ['escape', [...bytes].map((byte) => `\\u00${byte.toString(16).padStart(2, '0')}`).join(''), lower],
    ['encodeURIComponent', encodeURIComponent(window), text],
    ['JSON', JSON.stringify(window).slice(1, -1), text],
    ...[0, 1, 2].flatMap((shift): [string, string, string][] => {
      const inner = base64At(bytes, shift);
      return [
        [`base64+${shift}`, inner, text],
        [`base64url+${shift}`, inner.replaceAll('+', '-').replaceAll('/', '_'), text],
      ];
    }),
  ];
  return forms.filter(([, needle, where]) => where.includes(needle)).map(([form, found]) => ({ form, found }));
}

function windowsOf(secret: string): string[] {
  const last = Math.max(0, secret.length - WINDOW);
  return Array.from({ length: last + 1 }, (_, at) => secret.slice(at, at + WINDOW));
}

/** The digits that stay the same whatever stands around the bytes. */
function base64At(bytes: Buffer, shift: number): string {
  const text = Buffer.concat([Buffer.alloc(shift), bytes]).toString('base64');
  return text.slice(Math.ceil((shift * 8) / 6), Math.floor(((shift + bytes.length) * 8) / 6));
}

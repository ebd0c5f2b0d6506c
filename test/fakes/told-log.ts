import type { AttestationLog } from '../../src/workload/attestor.ts';

/** A log that keeps what it was told. */
export class ToldLog implements AttestationLog {
  readonly lines: string[] = [];

  info(message: string, facts: Readonly<Record<string, string | null>>): void {
    this.lines.push(`info ${message} ${JSON.stringify(facts)}`);
  }

  warn(message: string, facts: Readonly<Record<string, string | null>>): void {
    this.lines.push(`warn ${message} ${JSON.stringify(facts)}`);
  }
}

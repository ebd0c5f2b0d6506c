import type { AuditLine, AuditSink } from '../../src/audit/exchange-record.ts';

/** Keeps the lines in memory; `fail` makes it a sink that is full. */
export class CaptureSink implements AuditSink {
  readonly lines: AuditLine[] = [];
  fail: Error | null = null;

  async write(line: AuditLine): Promise<void> {
    if (this.fail !== null) throw this.fail;
    this.lines.push(line);
  }

  writeLater(line: AuditLine): void {
    this.lines.push(line);
  }

  async close(): Promise<void> {}
}

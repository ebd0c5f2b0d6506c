/** Options of hop 9. */
export interface AuditOptions {
  /** JSON-lines file, created 0640; `-` for standard output. */
  readonly file: string;
  /** Records held while the sink does not take them; beyond that injections are refused. */
  readonly maxPending: number;
}

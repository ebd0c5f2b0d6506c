/**
 * Duty: tells the log of an outage of what is asked, once until it is over.
 * Holds: the cause is told by its code alone.
 */
import type { AttestationLog } from './attestor.ts';

export class Outage {
  readonly #log: AttestationLog;
  readonly #source: string;
  #isOn = false;

  constructor(log: AttestationLog, source: string) {
    this.#log = log;
    this.#source = source;
  }

  began(cause: string, hint: string | null = null): void {
    if (this.#isOn) return;
    this.#isOn = true;
    this.#log.warn('a source of evidence does not answer, nobody is identified by it', {
      source: this.#source,
      cause,
      hint,
    });
  }

  over(): void {
    if (!this.#isOn) return;
    this.#isOn = false;
    this.#log.info('a source of evidence answers again', { source: this.#source });
  }
}

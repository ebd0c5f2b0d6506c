/**
 * Duty: waiting with an end.
 * Holds: who waits is told on time, whether or not what it waits for listens to its signal; what arrives later is not lost
 *   but handed to whoever cleans up.
 */
import type { Clock } from '../core/clock.ts';
import { EgressError } from '../core/errors.ts';

/**
 * Runs `task` for at most `deadlineMs` and until `parent` aborts; a value that comes later goes to `onLate`.
 * @throws EgressError `credential_unavailable`, the parent's reason, or what the task throws.
 */
export function within<T>(
  clock: Clock,
  deadlineMs: number,
  parent: AbortSignal,
  task: (signal: AbortSignal) => Promise<T>,
  onLate: (value: T) => void,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const controller = new AbortController();
    let isOver = false;
    const end = (): boolean => {
      const isFirst = !isOver;
      isOver = true;
      timer.cancel();
      parent.removeEventListener('abort', onParent);
      return isFirst;
    };
    const giveUp = (reason: unknown): void => {
      if (!end()) return;
      controller.abort(reason);
      reject(reason);
    };
    const onParent = (): void => giveUp(parent.reason);
    const timer = clock.schedule(deadlineMs, () => giveUp(tooLate()));
    parent.addEventListener('abort', onParent, { once: true });
    if (parent.aborted) return onParent();
    task(controller.signal).then(
      (value) => (end() ? resolve(value) : onLate(value)),
      (error: unknown) => {
        if (end()) reject(error);
      },
    );
  });
}

/** Waits for `promise`, or until `signal` aborts, which ends the waiting and nothing else. @throws EgressError `downstream_aborted`. */
export function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  if (signal.aborted) {
    promise.catch(() => {});
    return Promise.reject(abandoned(signal));
  }
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(abandoned(signal));
    signal.addEventListener('abort', onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}

const tooLate = (): EgressError =>
  new EgressError('credential_unavailable', {
    detail: 'the credential source did not answer in time',
    retryAfterMs: 1000,
  });

const abandoned = (signal: AbortSignal): EgressError =>
  signal.reason instanceof EgressError ? signal.reason : new EgressError('downstream_aborted');

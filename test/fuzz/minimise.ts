/**
 * Duty: the shortest text that still fails, by taking parts out.
 * Holds: bounded work; what comes out failed.
 * Source: Zeller, Hildebrandt: Simplifying and Isolating Failure-Inducing Input (2002).
 */
const MAX_TRIES = 3_000;

export async function minimise(
  text: string,
  stillFails: (text: string) => boolean | Promise<boolean>,
): Promise<string> {
  let best = text;
  let tries = 0;
  for (
    let size = Math.ceil(best.length / 2);
    size >= 1 && tries < MAX_TRIES;
    size = size === 1 ? 0 : Math.ceil(size / 2)
  ) {
    for (let start = 0; start < best.length && tries < MAX_TRIES; tries++) {
      const shorter = best.slice(0, start) + best.slice(start + size);
      if (await stillFails(shorter)) best = shorter;
      else start += size;
    }
  }
  return best;
}

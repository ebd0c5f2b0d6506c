/** Now in `µs`, on the clock that all processes of the machine share (CLOCK_MONOTONIC). */
export function nowUs(): number {
  return Number(process.hrtime.bigint()) / 1_000;
}

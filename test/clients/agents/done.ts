/** The end of every agent: says its results and its pid, and stays until its memory was searched. */
export async function done(results: Record<string, unknown>): Promise<void> {
  process.stdout.write(`${JSON.stringify(results)}\nDONE ${process.pid}\n`);
  process.stdin.resume();
  await new Promise((resolve) => process.stdin.once('end', resolve));
}

/**
 * Progress on stderr, so that stdout stays free for results.
 *
 * A step that takes long says so again every ten seconds: nobody has to guess whether it hangs.
 */
const REPEAT_MS = 10_000;

/** Runs `work` and tells when it starts, that it still runs, and how many seconds it took. */
export async function step<T>(text: string, work: () => Promise<T>): Promise<T> {
  const started = performance.now();
  const elapsed = () => `${((performance.now() - started) / 1000).toFixed(1)} s`;
  say(`… ${text}`);
  const reminder = setInterval(() => say(`… ${text} (${elapsed()})`), REPEAT_MS);
  try {
    const result = await work();
    say(`✓ ${text} (${elapsed()})`);
    return result;
  } catch (error) {
    say(`✗ ${text} (${elapsed()})`);
    throw error;
  } finally {
    clearInterval(reminder);
  }
}

/** One line for the person who waits. */
export function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

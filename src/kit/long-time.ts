/** Waits that are longer than 24 days, which is all that one timer of the runtime holds: it fires at once for more. */
import { pause } from './backoff.ts';

const longestTimerMs = 2 ** 31 - 1;

export async function longPause(ms: number, signal: AbortSignal): Promise<void> {
  for (let left = ms; left > 0; left -= longestTimerMs) await pause(Math.min(left, longestTimerMs), signal);
}

/** `AbortSignal.timeout` for any time. */
export function longTimeout(ms: number): AbortSignal {
  if (ms <= longestTimerMs) return AbortSignal.timeout(ms);
  const over = new AbortController();
  const goOn = () => {
    const rest = longTimeout(ms - longestTimerMs);
    rest.addEventListener('abort', () => over.abort(rest.reason), { once: true });
  };
  setTimeout(goOn, longestTimerMs).unref();
  return over.signal;
}

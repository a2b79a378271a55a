/** Whether what an earlier run of a launch has left is at work. */
import { AgentError } from '../contract/failures.ts';
import { isEngineAway } from '../runtime/engine-away.ts';

/** What a workload that is ready may take to say so. */
const readyNowSeconds = 2;

/** The checks, of what should be ready already. */
export function checksNow<Check extends { readonly timeout_seconds: number }>(checks: readonly Check[]): Check[] {
  return checks.map((check) => ({ ...check, timeout_seconds: readyNowSeconds }));
}

/** False where it turns out that it is not; throws where nobody can tell. */
export async function isReady(untilReady: Promise<unknown>, signal: AbortSignal): Promise<boolean> {
  try {
    await untilReady;
    return true;
  } catch (error) {
    signal.throwIfAborted();
    // An engine that does not answer says nothing about the workload, which may be well.
    if (error instanceof AgentError && !isEngineAway(error)) return false;
    throw error;
  }
}

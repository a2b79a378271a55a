/** What a check of the doctor is, and how checks are run: side by side, each with a deadline, none able to stop another. */
import { AgentError, failures } from '../../contract/failures.ts';

/** skipped: it does not apply here, or cannot be told; `found` says which. */
export type CheckStatus = 'ok' | 'warn' | 'fail' | 'skipped';

export interface Finding {
  readonly status: CheckStatus;
  /** What is so, one sentence. */
  readonly found: string;
  /** The next step, one sentence; null where none is needed. */
  readonly fix: string | null;
}

export interface CheckResult extends Finding {
  readonly name: string;
  /** Why it matters, one sentence. */
  readonly why: string;
}

export interface Check {
  /** Stable, dotted: what it is about, then what is checked. */
  readonly name: string;
  run(signal: AbortSignal): Promise<Omit<CheckResult, 'name'>>;
}

export function check(name: string, why: string, look: (signal: AbortSignal) => Promise<Finding>): Check {
  return { name, run: async (signal) => ({ ...(await look(signal)), why }) };
}

export const ok = (found: string): Finding => ({ status: 'ok', found, fix: null });
export const skipped = (found: string): Finding => ({ status: 'skipped', found, fix: null });
export const warn = (found: string, fix: string): Finding => ({ status: 'warn', found, fix });
export const fail = (found: string, fix: string): Finding => ({ status: 'fail', found, fix });

/** Results in the order of the checks. Rejects only with the signal's reason. */
export async function runChecks(
  checks: readonly Check[],
  { timeoutMs = 15_000, signal }: { timeoutMs?: number; signal: AbortSignal },
): Promise<CheckResult[]> {
  const results = await Promise.all(
    checks.map(async (one) => ({ name: one.name, ...(await runOne(one, timeoutMs, signal)) })),
  );
  signal.throwIfAborted();
  return results;
}

/** Of a check that could not be carried out. */
export const unknownWhy = 'A check that cannot be carried out may hide a fault.';

async function runOne(one: Check, timeoutMs: number, signal: AbortSignal): Promise<Omit<CheckResult, 'name'>> {
  const limit = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
  // Not every call heeds a signal: one that asks a dead network disk does not come back at all.
  const { promise: late, reject } = Promise.withResolvers<never>();
  const onAbort = () => reject(limit.reason);
  limit.addEventListener('abort', onAbort);
  try {
    return await Promise.race([one.run(limit), late]);
  } catch (error) {
    return { ...(limit.aborted ? tooLate(timeoutMs) : broken(error)), why: unknownWhy };
  } finally {
    limit.removeEventListener('abort', onAbort);
  }
}

function tooLate(timeoutMs: number): Finding {
  return fail(
    `The check did not end within ${timeoutMs / 1000} s.`,
    'Look what it waits for: a hung engine, driver or network disk.',
  );
}

function broken(error: unknown): Finding {
  const { code, path } = error as NodeJS.ErrnoException;
  if ((code === 'EACCES' || code === 'EPERM') && path !== undefined) {
    return skipped(`This process may not look at ${path}; \`node-agent doctor\` as root can.`);
  }
  if (error instanceof AgentError) {
    return fail(error.message, failures[error.code].hint);
  }
  const message = error instanceof Error ? error.message : String(error);
  return fail(`The check itself failed: ${message}.`, 'Run the doctor as root; if it still fails, report this line.');
}

/** Bytes as people read them. */
export function inGib(bytes: number): string {
  return `${(bytes / 2 ** 30).toFixed(1)} GiB`;
}

/** True if version `one` is at or above `least`, by their numbers. */
export function isAtLeast(one: string, least: string): boolean {
  const [a, b] = [one, least].map((text) => (text.match(/\d+/g) ?? []).map(Number));
  for (const [at, wanted] of (b ?? []).entries()) {
    const there = a?.[at] ?? 0;
    if (there !== wanted) return there > wanted;
  }
  return true;
}

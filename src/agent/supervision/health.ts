/**
 * Tells a workload that is unwell from one whose health check merely flickers. Pure.
 *
 * What the health check says counts only after it has said so for a while. A workload that keeps changing its mind has to
 * be well for longer each time before it is believed, so that flapping gives a few events and not a storm (FAULTS 28).
 */
export interface HealthMemory {
  /** What others were told. */
  readonly degraded: boolean;
  /** Since when the check says something else than that, monotonic milliseconds; null while it agrees. */
  readonly differsSince: number | null;
  /** When it was told to be degraded lately, monotonic milliseconds. */
  readonly falls: readonly number[];
}

export interface HealthStep {
  readonly memory: HealthMemory;
  /** True if others have to be told. */
  readonly changed: boolean;
  /** When to look again although nothing happened, in milliseconds; null for no need. */
  readonly lookAgainMs: number | null;
}

export const healthy: HealthMemory = { degraded: false, differsSince: null, falls: [] };

const unwellAfterMs = 10_000;
const wellAfterMs = 30_000;
const longestWellAfterMs = 600_000;
/** Falls that are remembered. */
const memoryMs = 3_600_000;

export function seeHealth(memory: HealthMemory, unhealthy: boolean, nowMs: number): HealthStep {
  const falls = memory.falls.filter((time) => nowMs - time < memoryMs);
  if (unhealthy === memory.degraded) {
    return { memory: { ...memory, falls, differsSince: null }, changed: false, lookAgainMs: null };
  }
  const since = memory.differsSince ?? nowMs;
  const left = since + holdMs(unhealthy, falls.length) - nowMs;
  if (left > 0) {
    return { memory: { ...memory, falls, differsSince: since }, changed: false, lookAgainMs: left };
  }
  const told = { degraded: unhealthy, differsSince: null, falls: unhealthy ? [...falls, nowMs] : falls };
  return { memory: told, changed: true, lookAgainMs: null };
}

function holdMs(unhealthy: boolean, falls: number): number {
  return unhealthy ? unwellAfterMs : Math.min(longestWellAfterMs, wellAfterMs * 2 ** Math.max(0, falls - 1));
}

/**
 * The log of an instance as its followers want it. What a host follows ends with the container; this goes on behind the
 * last entry when the workload is started again, by whomever, and ends where nothing starts it again by itself.
 *
 *   read ──▶ end of the container's log ──▶ at rest: end
 *    ▲                  └── starting, restarting, …: wait
 *    └────────────────────────────────────────────────┘
 */
import type { Failure } from '../../contract/failures.ts';
import type { InstanceState } from '../../contract/instance-state.ts';
import { type Backoff, backoffDelay } from '../../kit/backoff.ts';
import type { Clock } from '../../kit/clock.ts';
import type { LogPart } from '../hub/log-relay.ts';

export interface FollowedLog {
  /** What the host follows, behind the cursor; null for where the reader begins. */
  read(cursor: string | null): AsyncGenerator<LogPart, void, void>;
  /** State of the instance as it is now; undefined where it is gone. */
  state(): Promise<InstanceState | undefined>;
  readonly cursor: string | null;
  readonly clock: Pick<Clock, 'pause'>;
  readonly signal: AbortSignal;
}

/** There need not be a container yet. */
const beginning: ReadonlySet<InstanceState> = new Set(['requested', 'deploying', 'starting', 'restarting']);
/** Nothing leads on from here but what somebody asks for, who can follow anew. */
const atRest: ReadonlySet<InstanceState> = new Set(['stopped', 'failed', 'decommissioning', 'decommissioned']);

const waits: Backoff = { firstMs: 250, maxMs: 4000, factor: 2 };

export async function* followLog(log: FollowedLog): AsyncGenerator<LogPart, void, void> {
  let { cursor } = log;
  for (let attempt = 1; ; attempt += 1) {
    let failure: Failure | null | undefined;
    for await (const part of log.read(cursor)) {
      if (part.kind === 'end') {
        failure = part.failure;
        break;
      }
      if (part.kind === 'entries') {
        cursor = part.cursor;
        attempt = 1;
      }
      yield part;
    }
    if (failure === undefined || log.signal.aborted) {
      return;
    }
    const state = await log.state();
    if (!goesOn(state, failure)) {
      // A container that is taken away is an end like any other for whoever has read what it said.
      yield { kind: 'end', failure: cursor !== null && isGone(failure) ? null : failure };
      return;
    }
    await log.clock.pause(backoffDelay(waits, attempt), log.signal).catch(() => undefined);
  }
}

function goesOn(state: InstanceState | undefined, failure: Failure | null): boolean {
  if (state === undefined || atRest.has(state)) {
    return false;
  }
  return failure === null || (isGone(failure) && beginning.has(state));
}

function isGone(failure: Failure | null): boolean {
  return failure?.code === 'container.not_found';
}

/**
 * When to dial again. Pure.
 *
 * Trouble of the network is met with capped exponential backoff and full jitter, so that a fleet does not come back as one;
 * a no of the control plane with patience, because only a person can turn it into a yes. Where that person may do so at
 * any moment (a quarantine that is released, a copy that is switched off), the node is back within a minute: to be asked so
 * often costs the control plane next to nothing, and two copies cannot use it to take turns, since the epoch fence lets
 * neither in.
 */
import { closeCodes } from '../../contract/signing.ts';
import { type Backoff, fullJitterDelay } from '../../kit/backoff.ts';
import type { SessionTrouble } from './session.ts';

/** How a connection ended, or that there was none. */
export interface Ending {
  /** Close code of the WebSocket; undefined where there was no close. */
  readonly code: number | undefined;
  readonly reason: string;
  /** How long the session stood; 0 if it never did. */
  readonly stoodMs: number;
  /** False where nobody was there who says yes or no: no connection, or a proxy that finds nobody behind it. */
  readonly answered?: boolean;
  /** What the control plane asked for. */
  readonly retryAfterSeconds?: number | undefined;
}

export interface Retry {
  /** Attempts in a row that led to no stable session, this one included. */
  readonly attempt: number;
  readonly delayMs: number;
  readonly trouble?: SessionTrouble;
}

const backoff: Backoff = { firstMs: 250, maxMs: 120_000, factor: 1.5 };
const stableMs = 60_000;
const minute = 60_000;
/** With what is left to chance, at most a minute. */
const aboutAMinute = 40_000;
/** Whatever stands at that address cannot send the agent away for longer: `retry_after` of the session has the same limit. */
const longestAskedMs = 60 * minute;

/** Least wait after a no; half as much again is left to chance. */
const patience: Record<number, { readonly trouble: SessionTrouble; readonly ms: number }> = {
  [closeCodes.unauthenticated]: { trouble: 'unauthenticated', ms: 2 * minute },
  [closeCodes.revoked]: { trouble: 'revoked', ms: 30 * minute },
  [closeCodes.superseded]: { trouble: 'superseded', ms: aboutAMinute },
  [closeCodes.quarantined]: { trouble: 'quarantined', ms: aboutAMinute },
};

export function retryAfter(ending: Ending, attemptsBefore: number, random = Math.random): Retry {
  const attempt = ending.stoodMs >= stableMs ? 1 : attemptsBefore + 1;
  const no = patience[ending.code ?? 0];
  if (no) {
    return { attempt, delayMs: Math.round(no.ms * (1 + random() / 2)), trouble: no.trouble };
  }
  const asked = Math.min((ending.retryAfterSeconds ?? 0) * 1000, longestAskedMs);
  // Those who are told the same time must not come at the same moment either.
  const spread = asked === 0 ? 0 : random() * Math.min(asked, 30_000);
  return { attempt, delayMs: Math.round(asked + spread) + fullJitterDelay(backoff, attempt, random) };
}

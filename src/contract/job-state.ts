/**
 * States of a job and of its steps.
 *
 *   queued ─▶ preparing ─▶ running ─▶ succeeded
 *
 *   Any of the first three may become failed, cancelled or expired (its deadline went by). A job that ended stays so.
 *
 *   pending ─▶ waiting ─▶ running ─▶ succeeded
 *
 *   pending: its group has not begun. waiting: it has, and what the step depends on is not ready. Both may become skipped
 *   (something before failed) or cancelled, and waiting failed (a value that it needs is not there). running may become
 *   failed, timed_out or cancelled, and waiting again where its restart policy says so.
 */
import { Type } from 'typebox';

const nextOfJob = {
  queued: ['preparing', 'failed', 'cancelled', 'expired'],
  preparing: ['running', 'failed', 'cancelled', 'expired'],
  running: ['succeeded', 'failed', 'cancelled', 'expired'],
  succeeded: [],
  failed: [],
  cancelled: [],
  expired: [],
} as const satisfies Record<string, readonly string[]>;

const nextOfStep = {
  pending: ['waiting', 'skipped', 'cancelled'],
  waiting: ['running', 'failed', 'skipped', 'cancelled'],
  running: ['waiting', 'succeeded', 'failed', 'timed_out', 'cancelled'],
  succeeded: [],
  failed: [],
  skipped: [],
  cancelled: [],
  timed_out: [],
} as const satisfies Record<string, readonly string[]>;

export type JobState = keyof typeof nextOfJob;
export const jobStates = Object.keys(nextOfJob) as JobState[];
export const JobState = Type.Enum(jobStates, { description: 'State of the job; the drawing is in docs/jobs.md.' });

export type StepState = keyof typeof nextOfStep;
export const stepStates = Object.keys(nextOfStep) as StepState[];
export const StepState = Type.Enum(stepStates, { description: 'State of one step; the drawing is in docs/jobs.md.' });

/** Returns `to`, or throws: a forbidden transition is a bug of ours, never bad input. */
export function moveJob(from: JobState, to: JobState): JobState {
  return move('job', nextOfJob, from, to);
}

export function moveStep(from: StepState, to: StepState): StepState {
  return move('step', nextOfStep, from, to);
}

function move<State extends string>(
  what: string,
  next: Readonly<Record<State, readonly string[]>>,
  from: State,
  to: State,
): State {
  if (from !== to && !next[from].includes(to)) throw new Error(`forbidden ${what} transition ${from} -> ${to}`);
  return to;
}

/** True for a state that nothing follows. */
export function jobHasEnded(state: JobState): boolean {
  return nextOfJob[state].length === 0;
}

export function stepHasEnded(state: StepState): boolean {
  return nextOfStep[state].length === 0;
}

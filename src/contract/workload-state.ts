/**
 * States of one workload on its host.
 *
 *   absent ─▶ pulling ─▶ creating ─▶ starting ─▶ installing_packages ─▶ probing ─▶ running ⇄ degraded
 *                                       ▲                                             │
 *                                       └──────── stopped ◀──────── stopping ◀────────┘
 *
 *   Any state but absent may become failed (something went wrong), removing ─▶ removed (it is taken away) or
 *   unknown (the engine is away). unknown goes back to whatever the engine then says.
 */
import { Type } from 'typebox';

const next = {
  absent: ['pulling', 'creating', 'removing', 'unknown'],
  pulling: ['creating', 'failed', 'removing', 'unknown'],
  creating: ['starting', 'failed', 'removing', 'unknown'],
  starting: ['installing_packages', 'probing', 'running', 'stopping', 'failed', 'removing', 'unknown'],
  installing_packages: ['probing', 'running', 'stopping', 'failed', 'removing', 'unknown'],
  probing: ['running', 'stopping', 'failed', 'removing', 'unknown'],
  running: ['degraded', 'stopping', 'stopped', 'pulling', 'creating', 'probing', 'failed', 'removing', 'unknown'],
  degraded: ['running', 'stopping', 'stopped', 'pulling', 'creating', 'failed', 'removing', 'unknown'],
  stopping: ['stopped', 'failed', 'removing', 'unknown'],
  stopped: ['starting', 'pulling', 'creating', 'failed', 'removing', 'unknown'],
  removing: ['removed', 'failed', 'unknown'],
  removed: ['pulling', 'creating', 'removing', 'unknown'],
  failed: ['pulling', 'creating', 'starting', 'stopping', 'removing', 'unknown'],
  unknown: ['absent', 'running', 'degraded', 'stopped', 'failed', 'removing', 'removed', 'pulling', 'creating'],
} as const satisfies Record<string, readonly string[]>;

export type WorkloadState = keyof typeof next;
export const workloadStates = Object.keys(next) as WorkloadState[];

export const WorkloadState = Type.Enum(workloadStates, {
  description: 'State of the workload on its host; the drawing is in docs/tasks.md.',
});

/** Returns `to`, or throws: a forbidden transition is a bug in the agent, never bad input. */
export function move(from: WorkloadState, to: WorkloadState): WorkloadState {
  if (from !== to && !(next[from] as readonly string[]).includes(to)) {
    throw new Error(`forbidden workload transition ${from} -> ${to}`);
  }
  return to;
}

/** The states that may follow `from`. */
export function following(from: WorkloadState): readonly WorkloadState[] {
  return next[from];
}

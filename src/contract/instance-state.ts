/**
 * States of an app instance, as the control plane sees it.
 *
 *   requested ─▶ deploying ─▶ running ⇄ degraded
 *                                │  ▲
 *                  restarting ◀──┤  └── starting ◀── stopped ◀── stopping
 *                                └──────────────────────────────────▲
 *
 *   Any state but decommissioned may become failed, decommissioning (─▶ decommissioned, final) or unknown (the node is
 *   away). unknown goes back to whatever the node then reports, and so does failed, as that may be over by itself; failed
 *   becomes requested again where it is launched anew.
 *
 * No schema: the console has these in its bundle, and shall not have a schema library.
 */

const next = {
  requested: ['deploying', 'failed', 'decommissioning'],
  deploying: ['running', 'failed', 'decommissioning', 'unknown'],
  running: ['degraded', 'stopping', 'stopped', 'restarting', 'failed', 'decommissioning', 'unknown'],
  degraded: ['running', 'stopping', 'stopped', 'restarting', 'failed', 'decommissioning', 'unknown'],
  stopping: ['stopped', 'running', 'degraded', 'failed', 'decommissioning', 'unknown'],
  stopped: ['starting', 'restarting', 'failed', 'decommissioning', 'unknown'],
  starting: ['running', 'degraded', 'stopped', 'failed', 'decommissioning', 'unknown'],
  restarting: ['running', 'degraded', 'stopped', 'failed', 'decommissioning', 'unknown'],
  decommissioning: ['decommissioned', 'failed', 'unknown'],
  decommissioned: [],
  failed: [
    'requested',
    'starting',
    'restarting',
    'stopping',
    'running',
    'degraded',
    'stopped',
    'decommissioning',
    'unknown',
  ],
  unknown: [
    'deploying',
    'running',
    'degraded',
    'stopping',
    'stopped',
    'starting',
    'restarting',
    'failed',
    'decommissioning',
    'decommissioned',
  ],
} as const satisfies Record<string, readonly string[]>;

export type InstanceState = keyof typeof next;
export const instanceStates = Object.keys(next) as InstanceState[];
/** Of what is not over and done with. */
export const livingStates = instanceStates.filter((state) => next[state].length > 0);

/** Returns `to`, or throws: a forbidden transition is a bug in the control plane, never bad input. */
export function moveInstance(from: InstanceState, to: InstanceState): InstanceState {
  if (!mayBecome(from, to)) {
    throw new Error(`forbidden instance transition ${from} -> ${to}`);
  }
  return to;
}

/** True if an instance that is `from` may be `to` next; staying as it is always may. */
export function mayBecome(from: InstanceState, to: InstanceState): boolean {
  return from === to || (next[from] as readonly string[]).includes(to);
}

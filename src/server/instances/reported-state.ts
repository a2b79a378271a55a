/** What a state that a node reports means for an instance. */
import { type InstanceState, mayBecome } from '../../contract/instance-state.ts';
import type { WorkloadState } from '../../contract/workload-state.ts';

const meaning: Readonly<Record<WorkloadState, InstanceState>> = {
  absent: 'failed',
  pulling: 'degraded',
  creating: 'degraded',
  starting: 'degraded',
  installing_packages: 'degraded',
  probing: 'degraded',
  running: 'running',
  degraded: 'degraded',
  stopping: 'degraded',
  stopped: 'stopped',
  removing: 'failed',
  removed: 'failed',
  failed: 'failed',
  unknown: 'unknown',
};

/** While a task is at work its result decides, and reports only tell how far it is. */
const underWay: ReadonlySet<InstanceState> = new Set([
  ...(['requested', 'deploying', 'stopping', 'starting', 'restarting', 'decommissioning', 'decommissioned'] as const),
]);

export function isUnderWay(state: InstanceState): boolean {
  return underWay.has(state);
}

/** The state after the result of a task. */
export function afterTask(from: InstanceState, reported: WorkloadState): InstanceState {
  const to = meaning[reported];
  return mayBecome(from, to) ? to : 'failed';
}

/** The state after a report that belongs to no task; undefined where it changes nothing. */
export function afterReport(from: InstanceState, reported: WorkloadState): InstanceState | undefined {
  const to = meaning[reported];
  return isUnderWay(from) || to === from || !mayBecome(from, to) ? undefined : to;
}

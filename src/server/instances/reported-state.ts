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

/** The state after the result of a task. */
export function afterTask(from: InstanceState, reported: WorkloadState): InstanceState {
  const to = meaning[reported];
  return mayBecome(from, to) ? to : 'failed';
}

/** The state after a report while no task is at work; undefined where it changes nothing. */
export function afterReport(from: InstanceState, reported: WorkloadState): InstanceState | undefined {
  const to = meaning[reported];
  return to === from || !mayBecome(from, to) ? undefined : to;
}

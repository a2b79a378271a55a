/** Whether there is anything of an instance on its host. */
import type { Failure } from '../../contract/failures.ts';
import type { AppInstance } from '../db/entities/app-instance.ts';

/** True where there is no container that an action could act on: the launch failed, or the host has lost it. */
export function hasNothingLeft({
  state,
  desired,
  failure,
  history,
}: Pick<AppInstance, 'state' | 'desired' | 'failure' | 'history'>): boolean {
  if (state !== 'failed' || desired === 'decommissioned') return false;
  const before = history.findLast((each) => each.state !== 'failed' && each.state !== 'unknown')?.state;
  return before === 'requested' || before === 'deploying' || isGone(failure);
}

/** Of a stack that lost one service the others are there, and hold what they hold. */
function isGone(failure: Failure | null): boolean {
  return failure?.code === 'container.not_found' && failure.detail?.['service'] === undefined;
}

/** Which actions an instance can be asked for as it is: the one rule for the interface, which shows it, and for what it refuses. */
import { type InstanceState, mayBecome } from '../../contract/instance-state.ts';
import type { ControlAction } from '../adapters/adapter.ts';
import type { AppInstance } from '../db/entities/app-instance.ts';
import { hasNothingLeft } from './nothing-left.ts';

export const instanceActions = ['stop', 'start', 'restart', 'decommission'] as const;
export type InstanceAction = (typeof instanceActions)[number];

type Facts = Pick<AppInstance, 'state' | 'desired' | 'failure' | 'history'>;

/** The state on the way, and the one that the action leads to. */
export const ways: Readonly<Record<ControlAction, { readonly via: InstanceState; readonly to: InstanceState }>> = {
  stop: { via: 'stopping', to: 'stopped' },
  start: { via: 'starting', to: 'running' },
  restart: { via: 'restarting', to: 'running' },
};

/** True for what is so already, or under way: asking again changes nothing. */
export function isDone({ state }: Pick<Facts, 'state'>, action: ControlAction): boolean {
  const { via, to } = ways[action];
  return state === via || (action !== 'restart' && (state === to || (to === 'running' && state === 'degraded')));
}

/** Of what its host is not heard of, nobody knows what an action would do. */
export function allows({ state }: Pick<Facts, 'state'>, action: ControlAction): boolean {
  return state !== 'unknown' && mayBecome(state, ways[action].via);
}

/** One that failed to go may be asked again. */
export function isLeaving({ state, desired }: Facts): boolean {
  return state === 'decommissioned' || (desired === 'decommissioned' && state !== 'failed');
}

/** Those that would change something, in the order above. Where nothing is left, `restart` launches it anew. */
export function possibleActions(instance: Facts): InstanceAction[] {
  if (isLeaving(instance)) return [];
  if (hasNothingLeft(instance)) return ['restart', 'decommission'];
  return instanceActions.filter(
    (action) => action === 'decommission' || (allows(instance, action) && !isDone(instance, action)),
  );
}

/** Follows updates of agents, one node's or a rollout's, until nothing more happens by itself. */
import { AgentError } from '../../contract/failures.ts';
import { exitCodes } from '../exit-codes.ts';
import { untilInterrupted } from '../interruption.ts';
import { printJson, tell, tellFailure, tellJson } from '../output.ts';
import { oneLine } from '../printable.ts';
import type { ControlPlaneClient } from './client.ts';
import type { Node } from './describe-node.ts';
import { followEvents } from './event-lines.ts';
import type { Item } from './things.ts';

interface Told {
  readonly seq: number;
  readonly time: string;
  readonly type: string;
  readonly message: string;
  readonly data: Readonly<Record<string, unknown>>;
}

interface Watching<T> {
  readonly path: string;
  readonly subject_id: string;
  /** Which of the events about that are told. */
  isTold(event: Told): boolean;
  /** Of an event after which it may be over, and of the thing itself, which is asked for then: the event may be an old one. */
  mayEnd(event: Told): boolean;
  isOver(thing: T): boolean;
}

/** Waits until the update of a node is over; says every phase. The exit status is that of the update. */
export async function untilUpdated(client: ControlPlaneClient, asked: Node, options: { readonly json: boolean }) {
  const { id, update: queued } = asked;
  const node = await watch<Node>(client, options, {
    ...{ path: `/api/v1/nodes/${encodeURIComponent(id)}`, subject_id: id },
    isTold: ({ type, time }) => type.startsWith('node.update_') && time >= (queued?.since ?? ''),
    mayEnd: ({ type }) => type !== 'node.update_queued' && type !== 'node.update_running',
    isOver: ({ update }) => update === null || !['queued', 'running'].includes(update.state),
  });
  if (options.json) printJson(node);
  const { update } = node;
  if (!options.json && update?.failure) tellFailure(update.state.replace('_', ' '), update.failure);
  return update?.state === 'committed' ? exitCodes.ok : exitCodes.failed;
}

interface Rollout extends Item {
  readonly state: string;
  readonly stage: string;
}

/** Follows a rollout until it is through, is paused or is cancelled; with the last two it has failed. */
export async function followRollout(client: ControlPlaneClient, id: string, options: { readonly json: boolean }) {
  const rollout = await watch<Rollout>(client, options, {
    ...{ path: `/api/v1/rollouts/${encodeURIComponent(id)}`, subject_id: id },
    isTold: () => true,
    mayEnd: ({ data }) => isThrough(data as Partial<Rollout>),
    isOver: isThrough,
  });
  if (options.json) printJson(rollout);
  return rollout.state === 'running' || rollout.state === 'completed' ? exitCodes.ok : exitCodes.failed;
}

function isThrough({ state, stage }: Partial<Rollout>): boolean {
  return state !== 'running' || stage === 'stragglers';
}

/** From the first event on that is kept, since some came before the stream was open; ends with the thing as it is then. */
async function watch<T>(client: ControlPlaneClient, { json }: { readonly json: boolean }, watching: Watching<T>) {
  const { path, subject_id, isTold, mayEnd, isOver } = watching;
  const interruption = untilInterrupted();
  const { signal } = interruption;
  try {
    let thing = await client.get<T>(path, {}, signal);
    if (isOver(thing)) return thing;
    for await (const { type, data } of followEvents(
      client,
      '/api/v1/events',
      { subject_id },
      { after: '0', signal, json },
    )) {
      if (type === 'gap' || type === 'reset') continue;
      const event = JSON.parse(data) as Told;
      if (!isTold(event)) continue;
      if (json) tellJson(event);
      else tell(`${event.time.slice(11, 19)}  ${oneLine(event.message)}`);
      if (!mayEnd(event)) continue;
      thing = await client.get<T>(path, {}, signal);
      if (isOver(thing)) return thing;
    }
    return thing;
  } catch (error) {
    if (signal.aborted) throw new AgentError('command.interrupted', {}, { cause: error });
    throw error;
  } finally {
    interruption.stopListening();
  }
}

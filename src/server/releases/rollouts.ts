/**
 * Brings a release to the nodes of a channel: canaries first, then, once they have run it for a while, the rest. The drawing of
 * the states is at the entity.
 *
 * Everything is in the store, so a control plane that is killed goes on where it was: `advance` looks at what is and does the
 * next thing, and may be called at any time and any number of times. What becomes of a task is told in
 * the transaction that ends it (rollout-results.ts).
 */
import { AgentError } from '../../contract/failures.ts';
import type { Log } from '../../kit/log.ts';
import type { Node } from '../db/entities/node.ts';
import type { Rollout, RolloutNode } from '../db/entities/rollout.ts';
import { appendEvent, type Cause } from '../db/events.ts';
import { newId } from '../db/new-id.ts';
import type { ReadTx, Store, Tx } from '../db/store.ts';
import { neverSent, type TaskQueue } from '../hub/task-queue.ts';
import { usualChannel } from './current-release.ts';
import { beginUpdate, isUpdating } from './node-updates.ts';

export interface RolloutParts {
  readonly store: Store;
  readonly queue: TaskQueue;
  readonly log: Log;
  isConnected(nodeId: string): boolean;
}

export interface Step {
  /** Milliseconds since 1970. */
  readonly now: number;
  /** False while nodes may still be coming back after a start of the control plane: then nobody counts as away. */
  readonly settled: boolean;
  /** From 0 to less than 1. */
  random(): number;
}

type Parts = Pick<RolloutParts, 'queue' | 'isConnected'>;
type Fleet = ReadonlyMap<string, Node>;
type Target = { readonly at: RolloutNode; readonly node: Node };

/** Does what there is to do about a rollout now. */
export async function advance(tx: Tx, parts: Parts, rolloutId: string, step: Step): Promise<void> {
  let rollout = await tx.rollouts.get(rolloutId);
  if (rollout?.state !== 'running') return;
  // Read once: of a fleet this is most of the work.
  const fleet: Fleet = new Map((await tx.nodes.list()).map((node) => [node.id, node]));
  await joinNewNodes(tx, rollout, fleet, step);
  let targets = await settle(tx, rollout, fleet, step);
  for (let next = nextStage(rollout, targets, parts, step); next; next = nextStage(rollout, targets, parts, step)) {
    rollout = await next(tx, rollout);
    if (rollout.state !== 'running') return;
    targets = await targetsOf(tx, rollout, fleet);
  }
  await begin(tx, parts, rollout, targets, step);
}

/** Nodes that came into the channel since it began. */
async function joinNewNodes(tx: Tx, { id, channel, version }: Rollout, fleet: Fleet, { now }: Step): Promise<void> {
  const known = new Set((await nodesOf(tx, id)).map(({ node_id }) => node_id));
  for (const node of inChannel(fleet.values(), channel)) {
    if (known.has(node.id) || node.agent_version === version) continue;
    await tx.rollout_nodes.insert(newRolloutNode(id, node.id, false, now));
  }
}

export function newRolloutNode(rollout_id: string, node_id: string, canary: boolean, now: number): RolloutNode {
  const since = new Date(now).toISOString();
  return {
    ...{ id: newId(now), rollout_id, node_id, canary, state: 'pending', since },
    ...{ not_before: null, task_id: null, failure: null },
  };
}

/** Nodes that a rollout of the channel is for, quarantined ones as well: they may come back. */
export async function nodesOfChannel(tx: ReadTx, channel: string): Promise<Node[]> {
  return inChannel(await tx.nodes.list(), channel);
}

function inChannel(nodes: Iterable<Node>, channel: string): Node[] {
  return [...nodes].filter((node) => node.status !== 'revoked' && (node.channel ?? usualChannel) === channel);
}

/** What became of nodes without a task that would tell: by what they say that they run, or that they are no nodes any more. */
async function settle(tx: Tx, rollout: Rollout, fleet: Fleet, { now }: Step): Promise<Target[]> {
  for (const at of await nodesOf(tx, rollout.id)) {
    if (isOver(at) && at.state !== 'failed') continue;
    const node = fleet.get(at.node_id);
    const task = at.task_id === null ? undefined : await tx.tasks.get(at.task_id);
    if (!node || node.status === 'revoked') await move(tx, at, { state: 'gone' }, now);
    else if (at.state === 'updating') {
      // Its task is gone: this store was put back from a backup.
      if (!task || task.state === 'ended') await move(tx, at, { state: 'pending', task_id: null }, now);
    } else if (node.agent_version === rollout.version && !isUpdating(node)) {
      await move(tx, at, { state: 'committed', failure: null }, now);
      await tell(tx, bySystem(rollout, now), rollout, 'node', `${node.name} runs it.`);
    }
  }
  return await targetsOf(tx, rollout, fleet);
}

/** Those about which there is something to decide. */
async function targetsOf(tx: ReadTx, { id }: Rollout, fleet: Fleet): Promise<Target[]> {
  const targets: Target[] = [];
  for (const at of await nodesOf(tx, id)) {
    if (isOver(at) && !at.canary) continue;
    const node = fleet.get(at.node_id);
    if (node) targets.push({ at, node });
  }
  return targets;
}

type Turn = (tx: Tx, rollout: Rollout) => Promise<Rollout>;

/** The change of stage that is due; undefined while there is none. */
function nextStage(rollout: Rollout, targets: readonly Target[], parts: Parts, step: Step): Turn | undefined {
  const { stage, stage_since, wait_seconds } = rollout;
  const cause = bySystem(rollout, step.now);
  const canaries = targets.filter(({ at }) => at.canary);
  switch (stage) {
    case 'canaries': {
      if (canaries.some(({ at }) => isAwaited(at))) return undefined;
      if (canaries.length === 0) return (tx) => enterRest(tx, rollout, step);
      if (canaries.some(({ at }) => at.state === 'committed')) return (tx) => enter(tx, rollout, 'waiting', step.now);
      return (tx) => pause(tx, parts.queue, cause, rollout, 'No canary runs it: nobody knows whether it works.');
    }
    case 'waiting': {
      const lost = canaries.find(({ at, node }) => at.state === 'committed' && node.agent_version !== rollout.version);
      if (lost) {
        const reason = `The canary ${lost.node.name} runs ${lost.node.agent_version} again.`;
        return (tx) => pause(tx, parts.queue, cause, rollout, reason);
      }
      const isOverNow = step.now - Date.parse(stage_since) >= wait_seconds * 1000;
      return isOverNow ? (tx) => enterRest(tx, rollout, step) : undefined;
    }
    case 'rest': {
      const isThere = ({ at }: Target) => !step.settled || parts.isConnected(at.node_id) || at.state === 'updating';
      if (targets.some((each) => isAwaited(each.at) && isThere(each))) return undefined;
      return (tx) => enter(tx, rollout, 'stragglers', step.now);
    }
    case 'stragglers': {
      if (targets.some(({ at }) => isAwaited(at) || mayBeginAgain(at))) return undefined;
      return (tx) => end(tx, cause, rollout, 'completed', null);
    }
  }
}

/** Starts nodes, as many as may be at it together. */
async function begin(tx: Tx, parts: Parts, rollout: Rollout, targets: readonly Target[], { now }: Step): Promise<void> {
  if (rollout.stage === 'waiting') return;
  const { id: rollout_id, version, urgent, parallel, stage } = rollout;
  const time = new Date(now).toISOString();
  const due = targets.filter(
    ({ at, node }) =>
      (at.canary || stage !== 'canaries') &&
      (isAwaited(at) || mayBeginAgain(at)) &&
      at.state !== 'updating' &&
      (at.not_before === null || at.not_before <= time) &&
      node.status === 'enrolled' &&
      parts.isConnected(node.id) &&
      // A person may have asked for one as well.
      !isUpdating(node),
  );
  const free = parallel - targets.filter(({ at }) => at.state === 'updating').length;
  const first = due.toSorted((a, b) => (a.at.not_before ?? '').localeCompare(b.at.not_before ?? ''));
  for (const { at, node } of first.slice(0, Math.max(0, free))) {
    const cause = bySystem(rollout, now);
    const { task_id } = await beginUpdate(tx, parts.queue, cause, node, { version, urgent, rollout_id });
    await move(tx, at, { state: 'updating', task_id, failure: null, not_before: null }, now);
  }
}

/** Nobody else begins; who has begun goes on. */
export async function pause(tx: Tx, queue: TaskQueue, cause: Cause, rollout: Rollout, reason: string) {
  const paused: Rollout = { ...rollout, state: 'paused', reason: reason.slice(0, 500) };
  await tx.rollouts.put(paused);
  for (const { state, task_id } of await nodesOf(tx, rollout.id)) {
    const task = state === 'updating' && task_id !== null ? await tx.tasks.get(task_id) : undefined;
    if (task && neverSent(task)) await queue.cancel(tx, task.id);
  }
  await tell(tx, cause, paused, 'paused', reason);
  return paused;
}

/** Goes on; whoever failed for a reason that may be over is asked again. */
export async function resume(tx: Tx, cause: Cause, rollout: Rollout): Promise<Rollout> {
  if (rollout.state !== 'paused') throw conflict(`The rollout is ${rollout.state}.`);
  for (const at of await nodesOf(tx, rollout.id)) {
    if ((at.state === 'failed' || at.state === 'pending') && at.failure?.retryable) {
      await move(tx, at, { state: 'pending', failure: null, not_before: null }, cause.now);
    }
  }
  const stage_since = rollout.stage === 'waiting' ? new Date(cause.now).toISOString() : rollout.stage_since;
  const resumed: Rollout = { ...rollout, state: 'running', reason: null, stage_since };
  await tx.rollouts.put(resumed);
  await tell(tx, cause, resumed, 'resumed', 'The rollout goes on.');
  return resumed;
}

/** Who has the release keeps it; whoever is at it may still end as either. */
export async function cancel(tx: Tx, queue: TaskQueue, cause: Cause, rollout: Rollout, reason: string) {
  const ended = await end(tx, cause, rollout, 'cancelled', reason);
  for (const at of await nodesOf(tx, rollout.id)) {
    if (at.state === 'updating' && at.task_id !== null) await queue.cancel(tx, at.task_id);
    else if (at.state === 'pending' || at.state === 'held') await move(tx, at, { state: 'cancelled' }, cause.now);
  }
  return ended;
}

/** Of a release that was withdrawn. */
export async function cancelRollouts(tx: Tx, { queue }: RolloutParts, cause: Cause, version: string): Promise<void> {
  for (const rollout of await tx.rollouts.list({ where: { state: ['running', 'paused'] } })) {
    if (rollout.version === version) await cancel(tx, queue, cause, rollout, 'The release was withdrawn.');
  }
}

async function enter(tx: Tx, rollout: Rollout, stage: Rollout['stage'], now: number): Promise<Rollout> {
  const entered: Rollout = { ...rollout, stage, stage_since: new Date(now).toISOString() };
  await tx.rollouts.put(entered);
  await tell(tx, bySystem(rollout, now), entered, 'stage', stageWords[stage]);
  return entered;
}

const stageWords = {
  canaries: 'The canaries begin.',
  waiting: 'The canaries run it. The rest waits for what becomes of them.',
  rest: 'The rest begins.',
  stragglers: 'All that could be reached run it. The others get it when they come.',
} as const;

async function enterRest(tx: Tx, rollout: Rollout, { now, random }: Step): Promise<Rollout> {
  for (const at of await nodesOf(tx, rollout.id)) {
    if (at.state !== 'pending') continue;
    const not_before = new Date(now + random() * rollout.jitter_seconds * 1000).toISOString();
    await tx.rollout_nodes.put({ ...at, not_before });
  }
  return await enter(tx, rollout, 'rest', now);
}

async function end(tx: Tx, cause: Cause, rollout: Rollout, state: 'completed' | 'cancelled', reason: string | null) {
  const ended: Rollout = { ...rollout, state, reason, ended_at: new Date(cause.now).toISOString() };
  await tx.rollouts.put(ended);
  await tell(
    tx,
    cause,
    ended,
    state,
    reason ?? 'All nodes of the channel run it, but for those that are kept from it.',
  );
  return ended;
}

export async function move(tx: Tx, at: RolloutNode, change: Partial<RolloutNode>, now: number): Promise<void> {
  const since = change.state === at.state ? at.since : new Date(now).toISOString();
  await tx.rollout_nodes.put({ ...at, ...change, since });
}

export async function nodesOf(tx: ReadTx, rollout_id: string): Promise<RolloutNode[]> {
  return await tx.rollout_nodes.list({ where: { rollout_id } });
}

/** True while the stage waits for it; one that had trouble, or is kept from it, is not waited for. */
function isAwaited({ state, failure }: RolloutNode): boolean {
  return state === 'updating' || (state === 'pending' && failure === null);
}

/** Later, when its trouble may be over. */
function mayBeginAgain({ state, failure }: RolloutNode): boolean {
  return failure?.retryable === true && (state === 'pending' || state === 'held');
}

function isOver({ state }: RolloutNode): boolean {
  return state !== 'pending' && state !== 'updating' && state !== 'held';
}

export async function tell(tx: Tx, cause: Cause, rollout: Rollout, what: string, message: string): Promise<void> {
  const { id, version, channel, state, stage } = rollout;
  await appendEvent(tx, cause, {
    ...{ type: `rollout.${what}`, project_id: null, subject: { kind: 'rollout', id } },
    ...{ message: message.slice(0, 2000), data: { version, channel, state, stage } },
  });
}

function bySystem({ id }: Rollout, now: number): Cause {
  return { now, correlationId: id, who: { actor: 'system' } };
}

function conflict(reason: string): AgentError {
  return new AgentError('resource.conflict', { reason });
}

/** What the end of an update means for its rollout. Called in the transaction that ends the task. */
import type { Failure, FailureCode } from '../../contract/failures.ts';
import type { NodeUpdate } from '../db/entities/node.ts';
import type { Rollout, RolloutNode } from '../db/entities/rollout.ts';
import type { Tx } from '../db/store.ts';
import type { EndedTask } from '../hub/record-sink.ts';
import type { TaskQueue } from '../hub/task-queue.ts';
import { outcomeOf, updateEnded } from './node-updates.ts';
import { move, nodesOf, pause, tell } from './rollouts.ts';

/** A host that was kept from it for now, or had trouble, is asked again after so long. */
const againMs = 15 * 60 * 1000;

/** What one host finds wrong, every other would. */
const aboutRelease: ReadonlySet<FailureCode> = new Set<FailureCode>([
  'update.untrusted',
  'update.unfit',
  'update.rolled_back',
]);

/** On one host it may be its disk or its line, and it is asked again; a second one makes it the release, or where that comes from. */
const aboutReleaseOnTwo: ReadonlySet<FailureCode> = new Set<FailureCode>([
  'update.damaged',
  'update.failed',
  'internal',
]);

type Outcome = { readonly state: NodeUpdate['state']; readonly failure: Failure | null };

export async function rolloutNodeEnded(tx: Tx, queue: TaskQueue, task: EndedTask, now: number): Promise<void> {
  await updateEnded(tx, task, now);
  const at = await tx.rollout_nodes.find({ task_id: task.id });
  const rollout = at && (await tx.rollouts.get(at.rollout_id));
  if (at?.state !== 'updating' || !rollout) return;
  const outcome = outcomeOf(task.result);
  const change = changeBy(outcome, at, rollout, now);
  await move(tx, at, change, now);
  const name = (await tx.nodes.get(at.node_id))?.name ?? at.node_id;
  const cause = { now, correlationId: task.trace_id, who: { actor: `node:${at.node_id}` } };
  const words = change.failure ? `${wordsOf(change)}: ${change.failure.message}` : wordsOf(change);
  await tell(tx, cause, rollout, 'node', `${name} ${words}`);
  if (rollout.state !== 'running') return;
  const reason = await reasonToStop(tx, rollout, at, change, now);
  if (reason !== undefined)
    await pause(tx, queue, { ...cause, who: { actor: 'system' } }, rollout, `${name} ${words}${reason}`);
}

function wordsOf({ state, failure }: Change): string {
  return state === 'pending' && failure ? 'is asked again later' : stateWords[state];
}

const stateWords: Readonly<Record<RolloutNode['state'], string>> = {
  pending: 'has not begun',
  updating: 'updates',
  committed: 'runs it',
  held: 'is kept from it',
  rolled_back: 'was rolled back',
  failed: 'did not take it',
  gone: 'is no node any more',
  cancelled: 'does not get it any more',
};

type Change = Partial<RolloutNode> & Pick<RolloutNode, 'state'>;

function changeBy({ state, failure }: Outcome, { canary }: RolloutNode, rollout: Rollout, now: number): Change {
  const later = new Date(now + againMs).toISOString();
  if (state === 'committed') return { state };
  if (failure?.code === 'node.revoked') return { state: 'gone' };
  if (state === 'rolled_back') return { state, failure };
  if (rollout.state === 'cancelled') return { state: 'cancelled', failure };
  // It never began, or was called back.
  if (state === 'cancelled' || failure?.code === 'task.expired') return { state: 'pending' };
  if (state === 'held') return { state, failure, not_before: failure?.retryable ? later : null };
  // Trouble of that host: it does not stop the others, and may be over later.
  if (failure?.retryable && !canary) return { state: 'pending', failure, not_before: later };
  return { state: 'failed', failure };
}

/**
 * A canary has to prove the release; of the others, only what is about the release stops it. What there is to add to what became of
 * the node; undefined where the rollout goes on.
 */
async function reasonToStop(
  tx: Tx,
  { id, version }: Rollout,
  at: RolloutNode,
  { state, failure }: Change,
  now: number,
): Promise<string | undefined> {
  const code = failure?.code as FailureCode | undefined;
  if (!code || !['pending', 'failed', 'rolled_back'].includes(state)) return undefined;
  if (at.canary || aboutRelease.has(code)) return '';
  // By our clock as well; else it is that of the host.
  if (code === 'update.expired') return (await hasExpired(tx, version, now)) ? '' : undefined;
  if (!aboutReleaseOnTwo.has(code)) return undefined;
  const others = (await nodesOf(tx, id)).filter((each) => each.id !== at.id && each.failure?.code === code);
  const [other] = others;
  return other && ` So it was on ${(await tx.nodes.get(other.node_id))?.name ?? other.node_id}.`;
}

async function hasExpired(tx: Tx, version: string, now: number): Promise<boolean> {
  const release = await tx.releases.find({ version });
  return release === undefined || Date.parse(release.expires) <= now;
}

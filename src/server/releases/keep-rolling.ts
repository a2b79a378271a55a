/** Keeps rollouts going while the control plane runs. What there is to do is in the store, so nothing is lost with it. */
import { type Clock, steadyTime } from '../../kit/clock.ts';
import type { RecordSink } from '../hub/record-sink.ts';
import type { TaskQueue } from '../hub/task-queue.ts';
import { updateProgressed } from './node-updates.ts';
import { rolloutNodeEnded } from './rollout-results.ts';
import { advance, type RolloutParts } from './rollouts.ts';

/** Nodes that came back, waits that are over. What changes in the store is looked at at once. */
const everyMs = 10_000;
/** Until then nodes may still be coming back to a control plane that was started. */
const settledMs = 60_000;

export interface RollingParts extends RolloutParts {
  readonly clock: Clock;
}

/** Goes on until it is stopped. What goes wrong with one rollout is told and tried again, and does not stop the others. */
export async function keepRolling(parts: RollingParts, signal: AbortSignal): Promise<void> {
  const { store, clock, log } = parts;
  const now = steadyTime(clock);
  const begun = clock.monotonicMs();
  let changed = new AbortController();
  const stopListening = store.onCommit(({ changed: collections }) => {
    if (collections.has('rollouts') || collections.has('rollout_nodes')) changed.abort();
  });
  signal.addEventListener('abort', stopListening, { once: true });
  while (!signal.aborted) {
    changed = new AbortController();
    const step = { now: now(), settled: clock.monotonicMs() - begun >= settledMs, random: Math.random };
    try {
      const running = await store.read((tx) => tx.rollouts.list({ where: { state: 'running' } }));
      for (const { id } of running) {
        const onFailure = (err: unknown) => log.error({ err, rollout: id }, 'a rollout could not go on, trying again');
        await store.write((tx) => advance(tx, parts, id, step)).catch(onFailure);
      }
    } catch (err) {
      if (!signal.aborted) log.error({ err }, 'rollouts could not be looked at, trying again');
    }
    await clock.pause(everyMs, AbortSignal.any([signal, changed.signal])).catch(() => undefined);
  }
}

/** Tells rollouts and nodes what becomes of updates, before `sink` is told the same. */
export function followingUpdates(sink: RecordSink, queue: () => TaskQueue, clock: Clock): RecordSink {
  const now = steadyTime(clock);
  return {
    taskEnded: async (tx, task) => {
      if (task.purpose === 'update') await rolloutNodeEnded(tx, queue(), task, now());
      await sink.taskEnded(tx, task);
    },
    recorded: async (tx, node, record) => {
      if (record.kind === 'task.progress') await updateProgressed(tx, node, record.body, now());
      await sink.recorded(tx, node, record);
    },
    nodeAway: (tx, node) => sink.nodeAway(tx, node),
    nodeBack: (tx, node) => sink.nodeBack(tx, node),
  };
}

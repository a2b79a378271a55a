/**
 * Asks again for what a node refused as `task.stale` although nobody asked for anything newer: this control plane was put back
 * from a backup and counts behind what the node has seen. The refusal says how far that is, so the workload is counted on from
 * there. Once for each request: a node that lies refuses for ever, and reaches nobody's workloads but its own.
 */
import type { AdapterTask } from '../adapters/adapter.ts';
import type { AppInstance } from '../db/entities/app-instance.ts';
import type { Tx } from '../db/store.ts';
import type { EndedTask } from '../hub/record-sink.ts';
import type { TaskQueue } from '../hub/task-queue.ts';
import { appendReport } from './instance-reports.ts';
import { queueTask } from './launching.ts';

/** More tasks than a workload has had since any backup. A node that says more would use up the numbers. */
const mostMissed = 1_000_000;

/** False where it is not that, and the refusal stands. `time` is when the node refused. */
export async function askAgain(tx: Tx, queue: TaskQueue, instance: AppInstance, task: EndedTask, time: string) {
  const seen = seenBeyond(task);
  const counted = await tx.workload_fencing.get(task.workload_id);
  if (seen === undefined || counted?.fencing !== task.fencing || (await wasAskedAgain(tx, task))) return false;
  await tx.workload_fencing.put({ ...counted, fencing: seen });
  const { type, params, purpose } = task;
  const { id } = await queueTask(tx, queue, instance, { type, params } as AdapterTask, purpose);
  await tx.app_instances.put({ ...instance, current_task_id: id });
  await appendReport(tx, instance, `node:${task.node_id}`, time, {
    type: 'apps.instance.asked_again',
    message: `Its host has seen newer tasks than are known here, as after a backup was put back: ${purpose} is asked again.`,
    data: { task_id: task.id, next_task_id: id, fencing: task.fencing, seen },
  });
  return true;
}

/** The highest fencing that the node has seen; undefined where the task was refused for another reason. */
function seenBeyond({ fencing, result, cancel_requested }: EndedTask): number | undefined {
  const seen = result.failure?.code === 'task.stale' ? result.failure.detail['seen'] : undefined;
  const isSane = Number.isSafeInteger(seen) && (seen as number) >= fencing && (seen as number) - fencing <= mostMissed;
  return isSane && !cancel_requested ? (seen as number) : undefined;
}

/** True for one that is the other attempt itself: it counts on from where a refusal had said. */
async function wasAskedAgain(tx: Tx, { instance_id, fencing }: EndedTask): Promise<boolean> {
  const others = instance_id === null ? [] : await tx.tasks.list({ where: { instance_id } });
  return others.some(({ result }) => {
    return result?.failure?.code === 'task.stale' && result.failure.detail['seen'] === fencing - 1;
  });
}

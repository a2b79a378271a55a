/** Warns at the start where launches are switched on and no host is there that could carry one out. */
import type { Log } from '../../kit/log.ts';
import type { Store } from '../db/store.ts';

export async function warnIfNobodyLaunches(store: Store, launchEnabled: boolean, log: Log): Promise<void> {
  if (!launchEnabled) return;
  const nodes = await store.read((tx) => tx.nodes.list({ where: { status: 'enrolled' } }));
  if (nodes.some((node) => node.task_types.some(({ type }) => type === 'workload.oci_launch'))) return;
  log.warn({ nodes: nodes.length }, 'launches are switched on, and no node has an agent that carries them out');
}

/** Says where launches are switched on and no host is there that could carry one out: at the start, and to forms. */
import type { Log } from '../../kit/log.ts';
import type { ReadTx, Store } from '../db/store.ts';

export async function warnIfNobodyLaunches(store: Store, launchEnabled: boolean, log: Log): Promise<void> {
  if (!launchEnabled || (await store.read(somebodyLaunches))) return;
  const nodes = await store.read((tx) => tx.nodes.count({ status: 'enrolled' }));
  log.warn({ nodes }, 'launches are switched on, and no node has an agent that carries them out');
}

/** True if an enrolled node has an agent that carries launches out. */
export async function somebodyLaunches(tx: ReadTx): Promise<boolean> {
  const nodes = await tx.nodes.list({ where: { status: 'enrolled' } });
  return nodes.some((node) => node.task_types.some(({ type }) => type === 'workload.oci_launch'));
}

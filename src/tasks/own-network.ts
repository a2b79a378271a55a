/** The network of a workload, which has one of its own. */
import type { Identity } from '../contract/identifiers.ts';
import { labels, networkName } from '../contract/names.ts';
import { toItsEnd } from '../kit/to-its-end.ts';
import type { ContainerEngine } from '../runtime/engine.ts';

/**
 * Makes it unless it is there. Needed before each start: what no running container holds is taken away by an engine's
 * `network prune`.
 */
export async function ensureOwnNetwork(
  { app_instance_id, project_id, allocation_id }: Pick<Identity, 'app_instance_id' | 'project_id' | 'allocation_id'>,
  engine: Pick<ContainerEngine, 'ensureNetwork'>,
): Promise<void> {
  const owner = {
    [labels.instance]: app_instance_id,
    [labels.project]: project_id,
    [labels.allocation]: allocation_id,
  };
  await engine.ensureNetwork(networkName(app_instance_id), owner, toItsEnd());
}

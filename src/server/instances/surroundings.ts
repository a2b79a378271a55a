/** What an instance stands on, as far as it is there still. A list asks the store for each thing once, however many stand on it. */
import type { WorkloadProfile } from '../../manifests/gpuaas/profile.ts';
import type { Allocation } from '../db/entities/allocation.ts';
import type { AppInstance } from '../db/entities/app-instance.ts';
import type { Artifact } from '../db/entities/artifact.ts';
import type { App, AppVersion } from '../db/entities/catalog.ts';
import type { Node } from '../db/entities/node.ts';
import type { ReadTx } from '../db/store.ts';
import { profileOf } from '../launch/load-facts.ts';

export interface Surroundings {
  readonly app: App | undefined;
  readonly version: AppVersion | undefined;
  readonly profile: WorkloadProfile | undefined;
  readonly artifact: Artifact | undefined;
  readonly allocation: Allocation | undefined;
  readonly node: Node | undefined;
}

export type LookAround = (instance: AppInstance) => Promise<Surroundings>;

/** Good for one transaction: what was found once is not asked for again. */
export function lookingAround(tx: ReadTx): LookAround {
  const app = once((slug) => tx.apps.get(slug));
  const artifact = once((id) => tx.artifacts.get(id));
  const allocation = once((id) => tx.allocations.get(id));
  const node = once((id) => tx.nodes.get(id));
  const versions = once(async (key) => {
    const [app_slug = '', version = ''] = key.split(' ');
    const found = await tx.app_versions.find({ app_slug, version });
    return { version: found, profile: found && profileOf(found) };
  });
  return async ({ app_slug, app_version, artifact_id, allocation_id, node_id }) => ({
    ...(await versions(`${app_slug} ${app_version}`)),
    ...{ app: await app(app_slug), artifact: await artifact(artifact_id), allocation: await allocation(allocation_id) },
    node: node_id === null ? undefined : await node(node_id),
  });
}

function once<T>(ask: (key: string) => Promise<T>): (key: string) => Promise<T> {
  const answers = new Map<string, Promise<T>>();
  return (key) => {
    const answer = answers.get(key) ?? ask(key);
    answers.set(key, answer);
    return answer;
  };
}

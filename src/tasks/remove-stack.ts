/**
 * Takes away what belongs to one stack. It goes through the engine, not through Compose: what the engine has is known by its
 * seals, so this works where Compose is gone, and says of each part what became of it.
 */
import { AgentError } from '../contract/failures.ts';
import type { Identity } from '../contract/identifiers.ts';
import { containerName } from '../contract/names.ts';
import { servicesThere } from './find-stack.ts';
import { type Removal, removeWorkload } from './remove-workload.ts';
import type { TaskContext } from './task-context.ts';

/** How often it is looked whether something has come to be meanwhile. */
const rounds = 3;

/** `services` are those that may have a container; others of the instance are looked for. */
export async function removeContainers(
  identity: Pick<Identity, 'app_instance_id'>,
  services: readonly string[],
  { data }: { readonly data: boolean },
  { engine, stacks }: Pick<TaskContext, 'engine' | 'stacks'>,
  signal: AbortSignal,
): Promise<Removal> {
  const instance = identity.app_instance_id;
  const cleanup = { removed: [] as string[], kept: [] as string[], failed: [] as string[] };
  let left: readonly string[] = services;
  for (let round = 1; ; round += 1) {
    const containers = left.map((service) => containerName(instance, service));
    const {
      cleanup: part,
      containersGone,
      error,
    } = await removeWorkload(identity, { data, containers }, engine, signal);
    cleanup.removed.push(...part.removed);
    cleanup.failed.push(...part.failed);
    cleanup.kept = part.kept;
    // What the engine had begun for a Compose that was ended half-way can appear after the first look.
    left = containersGone ? await servicesThere(instance, engine, signal) : left;
    if (error !== undefined) {
      return { cleanup, containersGone: containersGone && left.length === 0, error };
    }
    if (left.length === 0) {
      await stacks.forget(instance);
      return { cleanup, containersGone: true, error: undefined };
    }
    if (round === rounds) {
      const there = left.map((service) => `container ${containerName(instance, service)}`);
      cleanup.failed.push(...there.map((container) => `${container}: It came to be again and again.`));
      const reason = `${there.join(', ')} came to be again and again while the stack was taken away.`;
      return { cleanup, containersGone: false, error: new AgentError('engine.failed', { reason }) };
    }
  }
}

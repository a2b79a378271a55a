/** What of a stack is on the engine, and whether a task of this kind is for it at all. */
import { AgentError } from '../contract/failures.ts';
import type { Identity } from '../contract/identifiers.ts';
import { containerName, labels } from '../contract/names.ts';
import type { ContainerFacts } from '../runtime/engine.ts';
import { requireSay } from './fencing.ts';
import type { TaskContext } from './task-context.ts';

/** Containers by service. */
export type FoundStack = ReadonlyMap<string, ContainerFacts>;

type Looking = Pick<TaskContext, 'engine' | 'signal' | 'fencing'>;

/**
 * All containers of the instance, also of services that `services` does not name. `task.invalid` where the workload is a
 * single container; `task.untrusted` or `task.stale` where this task has no say over it.
 */
export async function findStack(
  identity: Identity,
  services: readonly string[],
  { engine, signal, fencing }: Looking,
): Promise<FoundStack> {
  const instance = identity.app_instance_id;
  const look = async (service: string) => {
    return [service, await engine.inspect(containerName(instance, service), signal)] as const;
  };
  const [single, all, known] = await Promise.all([
    engine.inspect(containerName(instance), signal),
    servicesThere(instance, engine, signal),
    Promise.all(services.map(look)),
  ]);
  if (single) {
    throw otherKind('is for a stack, and this workload is a single container: use the oci task of the same name');
  }
  const others = await Promise.all(all.filter((service) => !services.includes(service)).map(look));
  const found = new Map<string, ContainerFacts>();
  for (const [service, container] of [...known, ...others]) {
    if (container) {
      requireSay(container, identity, fencing);
      found.set(service, container);
    }
  }
  return found;
}

/** `task.invalid` where the instance is a stack, for tasks that are for a single container. */
export async function refuseStack(instance: string, { engine, signal }: Omit<Looking, 'fencing'>): Promise<void> {
  if ((await servicesThere(instance, engine, signal)).length > 0) {
    throw otherKind('is for a single container, and this workload is a stack: use the compose task of the same name');
  }
}

export async function servicesThere(
  instance: string,
  engine: Looking['engine'],
  signal: AbortSignal,
): Promise<string[]> {
  const ours = (await engine.list(signal)).filter((container) => container.labels[labels.instance] === instance);
  return ours.map((container) => container.labels[labels.service]).filter((service) => service !== undefined);
}

function otherKind(message: string): AgentError {
  const reason = `/type ${message}.`;
  return new AgentError('task.invalid', { reason, errors: [{ path: '/type', code: 'other_kind', message }] });
}

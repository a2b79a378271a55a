/** gVisor is a name of host policy until the program behind it has said that it is one. */
import { AgentError } from '../contract/failures.ts';
import type { TaskParams, TaskType } from '../contract/tasks.ts';
import { askGvisor } from '../host/gvisor-program.ts';
import type { HostPolicy } from '../policy/host-policy.ts';
import type { TaskContext } from './task-context.ts';

/** Where host policy has none, the handler refuses, and says what else is wrong. */
export function wantsGvisor(params: TaskParams<TaskType>, { sandboxes }: HostPolicy): boolean {
  return 'sandbox' in params && params.sandbox === 'gvisor' && sandboxes.gvisor !== undefined;
}

/** `sandbox.unavailable` where what the engine would start as gVisor is something else, or cannot be asked. */
export async function assertGvisor({
  engine,
  policy,
  signal,
}: Pick<TaskContext, 'engine' | 'policy' | 'signal'>): Promise<void> {
  const { runtimePrograms } = await engine.facts(signal);
  const answer = await askGvisor(policy.sandboxes.gvisor ?? '', runtimePrograms, signal);
  if ('why' in answer) throw new AgentError('sandbox.unavailable', { sandbox: 'gvisor', reason: answer.why });
}

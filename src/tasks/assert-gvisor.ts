/** gVisor is a name of host policy until the program behind it has said that it is one. */
import { AgentError } from '../contract/failures.ts';
import type { TaskParams, TaskType } from '../contract/tasks.ts';
import { askGvisor } from '../host/gvisor-program.ts';
import type { TaskContext } from './task-context.ts';

/** `sandbox.unavailable` where these params want gVisor, and what the engine would start as such is something else, or cannot be asked. */
export async function assertGvisor(
  params: TaskParams<TaskType>,
  { engine, policy, signal }: Pick<TaskContext, 'engine' | 'policy' | 'signal'>,
): Promise<void> {
  const runtime = policy.sandboxes.gvisor;
  // Without one the handler refuses, and says what else is wrong.
  if (!('sandbox' in params) || params.sandbox !== 'gvisor' || runtime === undefined) return;
  const { runtimePrograms } = await engine.facts(signal);
  const answer = await askGvisor(runtime, runtimePrograms, signal);
  if ('why' in answer) throw new AgentError('sandbox.unavailable', { sandbox: 'gvisor', reason: answer.why });
}

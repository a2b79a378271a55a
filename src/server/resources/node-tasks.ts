/** What an operator asks of a node that is there, by a task of its own whose result is the answer. */
import { type Static, Type } from 'typebox';
import { AgentError, Failure } from '../../contract/failures.ts';
import { closed, id, nullable } from '../db/entities/fields.ts';
import type { Node } from '../db/entities/node.ts';
import type { Task } from '../db/entities/task.ts';
import type { ReadTx } from '../db/store.ts';
import { found } from '../http/access.ts';

const fields = {
  task_id: id('The task that does it.'),
  state: Type.Enum(['waiting', 'ended'], { description: 'ended: it is done, or there is a failure.' }),
  failure: nullable(Failure, 'Why it is not done; null where it is, and until then.'),
};
export type NodeAnswer = Static<ReturnType<typeof Type.Object<typeof fields>>>;

/** Schema of an answer with more in it than how the task gets on. */
export const nodeAnswer = fields;

export const ofNodeTask = Type.Object({ node_id: id('The node.'), task_id: id('The task that does it.') }, closed);

export function nodeAnswerOf({ id: task_id, state, result }: Task): NodeAnswer {
  return { task_id, state: state === 'ended' ? 'ended' : 'waiting', failure: result?.failure ?? null };
}

/** One that is not there is not waited for: `instead` says what works without that. */
export async function connectedNode(
  tx: ReadTx,
  nodeId: string,
  isConnected: (nodeId: string) => boolean,
  instead: string,
): Promise<Node> {
  const node = found('node', nodeId, await tx.nodes.get(nodeId));
  if (node.status !== 'enrolled' || !isConnected(nodeId)) {
    throw new AgentError('resource.conflict', { reason: `The node is not connected; ${instead}` });
  }
  return node;
}

export async function nodeTask(
  tx: ReadTx,
  { node_id, task_id }: Static<typeof ofNodeTask>,
  purpose: Task['purpose'],
): Promise<Task> {
  const task = await tx.tasks.get(task_id);
  return found('task', task_id, task?.node_id === node_id && task.purpose === purpose ? task : undefined);
}

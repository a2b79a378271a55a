/**
 * `POST /api/v1/nodes/{id}/probe`: asks a host whether it could launch something now, by the same `workload.oci_runtime_status`
 * that a launch asks (G-234). The answer is then `runtime` of the node, not older than `asked_at`.
 */
import { Type } from 'typebox';
import { AgentError } from '../../contract/failures.ts';
import { closed } from '../db/entities/fields.ts';
import { found, maySee, members } from '../http/access.ts';
import { pathOf } from '../http/lists.ts';
import { type Route, route } from '../http/route.ts';
import type { TaskQueue } from '../hub/task-queue.ts';
import { askRuntime } from '../instances/launching.ts';

const Asked = Type.Object(
  {
    task_id: Type.String({ description: 'The question; several that ask at once share one.' }),
    asked_at: Type.String({ description: 'RFC 3339 time; `runtime_at` of the node is later once it has answered.' }),
    seconds: Type.Integer({ minimum: 1, description: 'How long its answer may take; then there is none.' }),
  },
  { ...closed, description: 'A host was asked.' },
);

export function probeRoute(queue: TaskQueue, isConnected: (nodeId: string) => boolean): Route {
  return route({
    ...{ method: 'POST', path: '/api/v1/nodes/{node_id}/probe', tag: 'nodes', allow: members, status: 202 },
    summary: 'Asks a host whether it could launch something now; nothing is changed there.',
    ...{ params: pathOf('node_id', 'The node.'), answer: Asked },
    change: async ({ who, params: { node_id: id }, correlationId, now }, tx) => {
      const node = await tx.nodes.get(id);
      const allocation = node && (await tx.allocations.get(node.allocation_id));
      const visible = found('node', id, allocation && maySee(who, allocation.project_id) ? node : undefined);
      if (!isConnected(id)) throw new AgentError('node.away');
      const { task, seconds } = await askRuntime(tx, queue, visible, correlationId);
      return { body: { task_id: task.id, asked_at: new Date(now).toISOString(), seconds } };
    },
  });
}

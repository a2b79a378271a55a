/**
 * `/api/v1/nodes/{node_id}/diagnostics`: has a node collect a bundle for support. It is the result of a task, which is where it is
 * read from; there is no other copy of it.
 */
import { type Static, Type } from 'typebox';
import {
  AgentCollectDiagnosticsOutput,
  AgentCollectDiagnosticsParams,
} from '../../contract/agent-collect-diagnostics.ts';
import { closed, nullable } from '../db/entities/fields.ts';
import type { Task } from '../db/entities/task.ts';
import { appendEvent } from '../db/events.ts';
import { found, platform } from '../http/access.ts';
import { pathOf } from '../http/lists.ts';
import { type Route, route } from '../http/route.ts';
import { connectedNode, nodeAnswer, nodeAnswerOf, nodeTask, ofNodeTask } from './node-tasks.ts';
import type { NodeControl } from './nodes.ts';

const Diagnostics = Type.Object(
  {
    ...nodeAnswer,
    bundle: nullable(AgentCollectDiagnosticsOutput, 'What was collected; null until then, and where it failed.'),
  },
  { ...closed, description: 'Diagnostics of a node.' },
);

const path = '/api/v1/nodes/{node_id}/diagnostics';

export function diagnosticsRoutes(control: Pick<NodeControl, 'diagnose' | 'isConnected'>): Route[] {
  return [
    route({
      ...{ method: 'POST', path, tag: 'nodes', allow: platform, status: 202, answer: Diagnostics },
      ...{ params: pathOf('node_id', 'The node.'), body: AgentCollectDiagnosticsParams },
      summary: 'Has a node collect what somebody who helps from afar has to see of it, without secrets.',
      change: async (asked, tx) => {
        const { node_id: nodeId } = asked.params;
        const instead = '`node-agent doctor --bundle FILE` on the host works without that.';
        const node = await connectedNode(tx, nodeId, control.isConnected, instead);
        const taskId = await control.diagnose(tx, asked, node, asked.body);
        await appendEvent(tx, asked, {
          ...{ type: 'node.diagnosed', project_id: null, subject: { kind: 'node', id: nodeId } },
          message: 'An operator had its diagnostics collected.',
        });
        return { body: viewOf(found('task', taskId, await tx.tasks.get(taskId))) };
      },
    }),
    route({
      ...{ method: 'GET', path: `${path}/{task_id}`, tag: 'nodes', allow: platform, answer: Diagnostics },
      ...{ params: ofNodeTask, summary: 'Shows diagnostics that were asked for.' },
      read: async ({ params }, tx) => viewOf(await nodeTask(tx, params, 'diagnose')),
    }),
  ];
}

function viewOf(task: Task): Static<typeof Diagnostics> {
  const { result } = task;
  const bundle = result?.status === 'succeeded' ? (result.output as AgentCollectDiagnosticsOutput) : null;
  return { ...nodeAnswerOf(task), bundle };
}

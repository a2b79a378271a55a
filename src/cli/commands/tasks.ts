/** `node-agent tasks`: the tasks that the journal of this host knows, newest first. */
import type { TaskSummary } from '../../agent/local-api/agent-status.ts';
import { exitCodes } from '../exit-codes.ts';
import { askAgent } from '../local-agent.ts';
import { printJson, printLine, table } from '../output.ts';

export async function listTasks({ config, json }: { config?: string; json: boolean }): Promise<number> {
  const answer = await (await askAgent(config)).ask<{ tasks: TaskSummary[] }>('/v1/tasks');
  if (json) {
    printJson(answer);
    return exitCodes.ok;
  }
  const rows = answer.tasks.map((task) => [
    ...[task.accepted_at.slice(0, 19), task.task_id, task.type, task.workload_id],
    task.state === 'running' ? `running: ${task.phase ?? 'begun'}` : task.state,
    task.failure_code ?? '',
  ]);
  printLine(
    rows.length === 0 ? 'No tasks.' : table([['ACCEPTED', 'TASK', 'TYPE', 'WORKLOAD', 'STATE', 'CODE'], ...rows]),
  );
  return exitCodes.ok;
}

/** `node-agent status`: what the daemon of this host is doing. */
import type { AgentStatus } from '../../agent/local-api/agent-status.ts';
import { exitCodes } from '../exit-codes.ts';
import { askAgent } from '../local-agent.ts';
import { printJson, printLine, table } from '../output.ts';
import { oneLine } from '../printable.ts';
import { ago } from '../words.ts';
import { howItEnds } from './drain.ts';

export async function printStatus({ config, json }: { config?: string; json: boolean }): Promise<number> {
  const status = await (await askAgent(config)).ask<AgentStatus>('/v1/status');
  if (json) {
    printJson(status);
  } else {
    printLine(describeStatus(status, Date.now()));
  }
  return exitCodes.ok;
}

/** As text, `now` in milliseconds since 1970. */
export function describeStatus(status: AgentStatus, now: number): string {
  const { session, engine, journal, tasks } = status;
  const because = (reason: string | null) => (reason === null ? '' : `: ${reason}`);
  const since = (time: string) => `for ${ago(time, now)}`;
  const facts = [
    ['agent', `${status.version}, process ${status.pid}, up ${since(status.started_at)}`],
    ['node', `${status.node_id}, allocation ${status.allocation_id}`],
    ['control plane', `${sessionWords(session)} ${since(session.since)}${because(session.reason)}`],
    ['engine', `${engine.state} ${since(engine.since)}${because(engine.reason)}`],
    ['journal', journal.failure ?? `${journal.outbox} ${journal.outbox === 1 ? 'record waits' : 'records wait'}`],
    ['tasks', `${tasks.running} at work, ${tasks.waiting} waiting, ${tasks.parallel} at once at most`],
    ['new work', status.draining ? `none, it drains: ${howItEnds(status.drained_by)}` : 'is taken'],
  ];
  const workloads = status.workloads.map((workload) => [
    ...[workload.workload_id, workload.state, ago(workload.since, now), String(workload.restarts)],
    workload.endpoints.map(({ name, port }) => `${name} 127.0.0.1:${port}`).join(', '),
  ]);
  return [
    table(facts.map((row) => row.map(oneLine))),
    '',
    workloads.length === 0
      ? 'No workloads.'
      : table([['WORKLOAD', 'STATE', 'SINCE', 'RESTARTS', 'ENDPOINTS'], ...workloads]),
  ].join('\n');
}

function sessionWords({ state, url }: AgentStatus['session']): string {
  switch (state) {
    case 'unconfigured':
      return 'none is configured';
    case 'connected':
      return `connected to ${url}`;
    case 'refused':
      return `refused by ${url}`;
    case 'connecting':
    case 'waiting':
      return `not connected to ${url}`;
  }
}

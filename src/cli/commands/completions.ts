/** What `node-agent completion` asks for: what is on this host, and what has a schema. */
import type { AgentStatus, TaskSummary } from '../../agent/local-api/agent-status.ts';
import type { Candidate, Kinds } from '../completion.ts';

export const completions: Kinds = {
  ids: (signal) => idsOnHost(undefined, signal),
  services: async (signal) => {
    const { askAgent } = await import('../local-agent.ts');
    const { workloads } = await (await askAgent(undefined)).ask<AgentStatus>('/v1/status', { signal });
    const names = workloads.flatMap(({ services = [] }) => services.map(({ service }) => service));
    return [...new Set(names)].map((value) => ({ value }));
  },
  trust: async () => {
    const { readTrust, trustPlaces } = await import('../../agent/trust/trust-files.ts');
    const { configFileOf } = await import('../../agent/config.ts');
    const { keystore } = await readTrust(trustPlaces(configFileOf(undefined, process.env)));
    return keystore.map(({ id, certificate }) => ({ value: id.slice(0, 16), name: certificate.subject }));
  },
  types: async () => {
    const { schemaNames } = await import('./schema.ts');
    return schemaNames.map((value) => ({ value }));
  },
};

/** Workloads and tasks that the daemon knows. */
export async function idsOnHost(config: string | undefined, signal: AbortSignal): Promise<Candidate[]> {
  const { askAgent } = await import('../local-agent.ts');
  const agent = await askAgent(config);
  const { workloads } = await agent.ask<AgentStatus>('/v1/status', { signal });
  const { tasks } = await agent.ask<{ tasks: TaskSummary[] }>('/v1/tasks', { signal });
  return [
    ...workloads.map(({ workload_id }) => ({ value: workload_id })),
    ...tasks.map(({ task_id }) => ({ value: task_id })),
  ];
}

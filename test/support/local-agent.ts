/** A daemon in memory, as the commands of its host see it: it remembers what was asked, and says what it is told to. */
import type { AgentStatus } from '../../src/agent/local-api/agent-status.ts';
import type { LocalAgent } from '../../src/agent/local-api/local-agent.ts';
import type { UpdateState } from '../../src/agent/local-api/update-state.ts';
import { AgentError } from '../../src/contract/failures.ts';
import { sampleGpu } from './gpus.ts';

export const agentStatus: AgentStatus = {
  ...{ version: '0.1.0', pid: 42, node_id: 'node-1', allocation_id: 'alloc-1', draining: false, drained_by: [] },
  started_at: '2026-11-25T10:00:00.000Z',
  session: {
    ...{ state: 'connected', url: 'https://control.example.com', since: '2026-11-25T10:00:01.000Z', epoch: 3 },
    ...{ connects: 1, protocol_errors: 0, reason: null },
  },
  engine: { state: 'ready', since: '2026-11-25T10:00:00.500Z', reason: null },
  journal: { journal_id: 'j1', outbox: 2, failure: null },
  tasks: { running: 1, waiting: 0, parallel: 4 },
  workloads: [
    {
      ...{ workload_id: 'notebook-1', project_id: 'project-7', allocation_id: 'alloc-1', fencing: 3, restarts: 2 },
      ...{ state: 'running', since: '2026-11-25T10:05:00.000Z' },
      endpoints: [
        {
          ...{ name: 'web', protocol: 'http', host: '127.0.0.1', port: 8888, url: 'http://127.0.0.1:8888/' },
          exposure_mode: 'private',
        },
      ],
    },
  ],
};

export const updateState: UpdateState = {
  ...{ version: '0.1.0', previous: null, pending: null, last: null, skipped: [] },
  settings: { automatic: true, channel: 'stable', pinned: null, window: null },
};

export function localAgent(over: Partial<LocalAgent> = {}): { agent: LocalAgent; asked: string[] } {
  const asked: string[] = [];
  let draining = false;
  const unknown = async (id: string) => {
    throw new AgentError('explain.unknown', { id });
  };
  return {
    asked,
    agent: {
      logs: {
        // biome-ignore lint/correctness/useYield: it has no log at all
        async *read({ id }) {
          throw new AgentError('logs.not_found', { id });
        },
      },
      status: () => ({ ...agentStatus, draining, drained_by: draining ? ['host'] : [] }),
      tasks: () => [],
      explain: unknown,
      sampleGpu: async () => ({
        name: 'gpu.sample',
        status: 'skipped',
        found: 'This host has no card.',
        why: '',
        fix: null,
      }),
      diagnose: async () => ({ collected_at: '2026-11-25T10:00:00.000Z', files: [], left_out: [] }),
      drain: async (on) => {
        asked.push(`drain ${on}`);
        draining = on;
      },
      rotateKeys: async () => {
        asked.push('rotate-keys');
      },
      update: () => updateState,
      availableUpdate: async () => ({ version: '0.2.0', seq: 2, refused: null }),
      cards: () => ({ gpus: [sampleGpu({ uuid: 'GPU-1', held_by: 'notebook-1' })], hears_kernel: true }),
      clearCard: (uuid) => {
        asked.push(`clear ${uuid}`);
        return uuid === 'GPU-1';
      },
      kept: async () => [],
      removeKept: async (id) => {
        asked.push(`remove ${id}`);
        return id !== '9'.repeat(24);
      },
      cancel: (taskId) => {
        asked.push(`cancel ${taskId}`);
        return true;
      },
      runTask: async () => {
        throw new AgentError('task.invalid');
      },
      doctor: async () => [],
      config: async () => ({ config: {} }),
      ...over,
    },
  };
}

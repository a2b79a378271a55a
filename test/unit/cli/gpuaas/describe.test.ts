import { expect, it } from 'vitest';
import { describeInstance } from '../../../../src/cli/gpuaas/describe.ts';
import type { Instance } from '../../../../src/cli/gpuaas/instance.ts';
import { AgentError } from '../../../../src/contract/failures.ts';

it('shows what a failure is about: which task it was, the facts, and the last that was said', () => {
  const excerpt = 'ERROR: No matching distribution found for numpy\n\u001b[2Jbye';
  const instance: Instance = {
    ...{ id: 'i-1', display_name: 'Mine', app_slug: 'web', app_version: '1', allocation_id: 'a', node_id: 'n' },
    ...{ state: 'failed', state_since: '2026-11-25T10:00:00Z', desired: 'running', summary: 'It failed.' },
    ...{ created_at: '2026-11-25T09:59:00Z', created_by: 'abc', trace_id: 'trace-1' },
    ...{ current_task_id: 'task-7', recovery: 'repairable', image_digest: 'sha256:1', config: {}, cleanup: null },
    ...{
      resources: { gpu_count: 0, cpu_cores: 1, memory_gib: 1 },
      endpoints: [],
      access: [],
      members: [],
      history: [],
    },
    failure: new AgentError('packages.failed', { exit_code: 1, excerpt }).toFailure(),
  };

  const text = describeInstance(instance, Date.parse('2026-11-25T10:01:00Z'));

  expect(text).toMatch(/^last task +task-7$/m);
  expect(text).toMatch(/^asked for +2026-11-25T09:59:00Z by token abc, trace trace-1$/m);
  expect(text).toContain('[packages.failed]\n    exit_code: 1\n    excerpt:\n');
  expect(text).toContain('ERROR: No matching distribution found for numpy\n');
  expect(text).not.toContain('\u001b');
  expect(text).toContain('  next: correct the request, its values or the image');
});

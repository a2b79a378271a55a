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
      gpus: [],
      notices: [],
      history: [],
      launch_seconds: 60,
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

it('shows the services of a stack, how to reach them and the cards that it holds', () => {
  const status = (exit_code: number | null) => ({ container_name: 'gpuaas-i-1.x', exit_code });
  const card = { name: 'NVIDIA H200', memory_mib: 143_771 };
  const text = describeInstance(
    {
      ...{
        id: 'i-1',
        display_name: 'Mine',
        app_slug: 'vllm-openai',
        app_version: '1',
        allocation_id: 'a',
        node_id: 'n',
      },
      ...{ state: 'degraded', state_since: '2026-11-25T10:00:00Z', desired: 'running', summary: 'A service ended.' },
      ...{ created_at: '2026-11-25T09:59:00Z', created_by: 'abc', trace_id: 'trace-1', current_task_id: null },
      ...{
        failure: null,
        recovery: null,
        image_digest: 'sha256:1',
        config: {},
        cleanup: null,
        endpoints: [],
        access: [
          { endpoint: 'page', url: 'http://127.0.0.1:9000/', bearer_path: null, tunnel: null },
          { endpoint: 'openai', url: 'http://127.0.0.1:8000/', bearer_path: '/v1/models', tunnel: null },
        ],
        launch_seconds: 60,
      },
      ...{ resources: { gpu_count: 2, cpu_cores: 1, memory_gib: 1 }, history: [] },
      notices: [
        {
          ...{ code: 'artifact_revoked', message: 'The trust in its image was taken back.' },
          ...{ reason: 'CVE-2026-1\nof zlib.', hint: 'Save what you need.' },
        },
        { code: 'version_withdrawn', message: 'It is withdrawn.', reason: null, hint: 'Launch another.' },
      ],
      members: [
        { name: 'vllm', state: 'running', health: 'healthy', restarts: 0, status: status(null) },
        { name: 'watch', state: 'failed', health: null, restarts: 3, status: status(1) },
      ],
      gpus: [
        { uuid: 'GPU-1', service: 'vllm', card: { ...card, health: 'healthy', reason: null } },
        { uuid: 'GPU-2', service: 'vllm', card: { ...card, health: 'unhealthy', reason: 'XID 79.' } },
        { uuid: 'GPU-3', service: 'vllm', card: null },
      ],
    },
    Date.parse('2026-11-25T10:01:00Z'),
  );

  expect(text).toMatch(
    /^Services\n {2}vllm +running +health check: healthy\n {2}watch +failed +restarted 3 times +exit 1$/m,
  );
  expect(text).toContain('  then open http://127.0.0.1:9000/\n');
  expect(text).toContain("  then ask: curl -H 'Authorization: Bearer TOKEN' http://127.0.0.1:8000/v1/models");
  expect(text).toMatch(
    /^Notices\n {2}The trust in its image was taken back\. Reason: CVE-2026-1.+of zlib\. Save what you need\.\n {2}It is withdrawn\. Launch another\.$/m,
  );
  expect(text).toMatch(/^Cards\n {2}GPU-1 +NVIDIA H200 +143771 MiB +healthy +vllm$/m);
  expect(text).toMatch(/^ {2}GPU-2 .* unhealthy: XID 79. +vllm$/m);
  expect(text).toMatch(/^ {2}GPU-3 +its host does not report it +vllm$/m);
});

import { expect, it } from 'vitest';
import { agentFamilies, TaskCounts } from '../../../../src/agent/telemetry/agent-metrics.ts';
import { renderFamilies } from '../../../../src/agent/telemetry/exposition.ts';
import type { MetricsBody } from '../../../../src/agent/telemetry/sample.ts';
import { sampleGpu } from '../../../support/gpus.ts';
import { agentStatus } from '../../../support/local-agent.ts';

const use = {
  ...{ cpu_seconds: 10, cpu_cores: 0.5, memory_bytes: 100, memory_limit_bytes: 200 },
  ...{ network_received_bytes: 1, network_sent_bytes: 2, pids: 4 },
};
const sample: MetricsBody = {
  ...{ at: '2026-11-25T12:00:00Z', interval_seconds: 15 },
  host: {
    ...{ cpu_cores_used: 1, memory_used_bytes: 1, memory_total_bytes: 1, disk_free_bytes: 1, disk_total_bytes: 1 },
  },
  workloads: [
    { workload_id: 'notebook-1', ...use },
    { workload_id: 'stack-1', ...use, memory_bytes: 300, services: [{ service: 'web', ...use, memory_bytes: 300 }] },
  ],
  gpus: [
    {
      ...{ uuid: 'GPU-1', workload_id: 'stack-1', utilization_percent: 50, memory_used_mib: 2, memory_total_mib: 4 },
      ...{ temperature_celsius: 61, power_watts: null },
    },
    {
      ...{ uuid: 'GPU-2', workload_id: null, utilization_percent: 0, memory_used_mib: 0, memory_total_mib: 4 },
      ...{ temperature_celsius: 30, power_watts: 40.5 },
    },
  ],
};

it('tells services of a stack by their label, and counts nothing twice', () => {
  const [workload] = agentStatus.workloads;
  const since = '2026-11-25T12:00:00Z';
  const services = [{ service: 'web', state: 'degraded' as const, restarts: 3, since }];
  const workloads = workload ? [{ ...workload, workload_id: 'stack-1', services }] : [];
  const cards = [sampleGpu(), sampleGpu({ uuid: 'GPU-2', health: 'unhealthy', reason: 'It vanished.' })];
  const logs = { open: 0, entries: 0, bytes: 0, gaps: 0 };

  const text = renderFamilies(
    agentFamilies({ status: { ...agentStatus, workloads }, sample, tasks: new TaskCounts(), logs, cards }),
  );

  const lines = text.split('\n').filter((line) => /^gpuaas_(workload_memory_bytes|service|gpu)/.test(line));
  expect(lines).toEqual([
    'gpuaas_service_state{workload="stack-1",service="web",state="degraded"} 1',
    'gpuaas_service_restarts_total{workload="stack-1",service="web"} 3',
    'gpuaas_workload_memory_bytes{workload="notebook-1"} 100',
    'gpuaas_workload_memory_bytes{workload="stack-1",service="web"} 300',
    'gpuaas_gpu_healthy{uuid="GPU-1"} 1',
    'gpuaas_gpu_healthy{uuid="GPU-2"} 0',
    'gpuaas_gpu_utilization_ratio{uuid="GPU-1",workload="stack-1"} 0.5',
    'gpuaas_gpu_utilization_ratio{uuid="GPU-2"} 0',
    'gpuaas_gpu_memory_used_bytes{uuid="GPU-1",workload="stack-1"} 2097152',
    'gpuaas_gpu_memory_used_bytes{uuid="GPU-2"} 0',
    'gpuaas_gpu_memory_bytes{uuid="GPU-1",workload="stack-1"} 4194304',
    'gpuaas_gpu_memory_bytes{uuid="GPU-2"} 4194304',
    'gpuaas_gpu_temperature_celsius{uuid="GPU-1",workload="stack-1"} 61',
    'gpuaas_gpu_temperature_celsius{uuid="GPU-2"} 30',
    'gpuaas_gpu_power_watts{uuid="GPU-2"} 40.5',
  ]);
});

import { expect, it } from 'vitest';
import type { RecordBody } from '../../../../src/contract/records.ts';
import { MetricsBoard } from '../../../../src/server/instances/metrics-board.ts';

it('keeps with each instance its own cards, and no others', () => {
  const use = {
    ...{ cpu_seconds: 1, cpu_cores: 1, memory_bytes: 1, memory_limit_bytes: 1 },
    ...{ network_received_bytes: 0, network_sent_bytes: 0, pids: 1 },
  };
  const card = (uuid: string, workload_id: string | null) => ({
    ...{ uuid, workload_id, utilization_percent: 1, memory_used_mib: 1, memory_total_mib: 2 },
    ...{ temperature_celsius: 40, power_watts: null },
  });
  const gpus = [card('GPU-1', 'a'), card('GPU-2', 'b'), card('GPU-3', null)];
  const workloads = ['a', 'c'].map((workload_id) => ({ workload_id, ...use }));
  const host = {} as RecordBody<'metrics'>['host'];
  const board = new MetricsBoard();

  board.keep('node-1', { at: '2026-11-25T12:00:00Z', interval_seconds: 15, host, workloads, gpus }, 0);

  expect(board.of('node-1', 'a')).toMatchObject([{ gpus: [card('GPU-1', 'a')] }]);
  expect(board.of('node-1', 'c')[0]).not.toHaveProperty('gpus');
});

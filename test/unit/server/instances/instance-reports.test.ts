import { describe, expect, it } from 'vitest';
import type { WorkloadState } from '../../../../src/contract/workload-state.ts';
import { membersOf, membersSeen } from '../../../../src/server/instances/instance-reports.ts';
import { stackOutput } from '../../../support/launch-bench.ts';

const at = '2026-11-25T12:00:04Z';

/** Health of the one service after a task, with what the engine said of its check then. */
function healthAfter(health: string | null, state: WorkloadState) {
  const output = stackOutput({ id: 'i1', host_ports: {} }, { vllm: state });
  const services = output.adapter.services.map((each) => ({ ...each, health }));
  return membersOf(
    { members: [], endpoints: [] },
    'node-1',
    { ...output, adapter: { ...output.adapter, services } },
    at,
  );
}

describe('the health of a service', () => {
  it.each([
    ['healthy', 'running', 'healthy'],
    ['unhealthy', 'running', 'unhealthy'],
    ['starting', 'running', null],
    ['unhealthy', 'stopped', null],
    [null, 'running', null],
  ] as const)('that says %s and is %s is told as %s', (said, state, told) => {
    expect(healthAfter(said, state)).toMatchObject([{ name: 'vllm', health: told }]);
  });

  it('is not known any more once the service is something else', () => {
    const members = healthAfter('healthy', 'running');
    const seen = (state: WorkloadState) =>
      membersSeen(
        members,
        {
          ...{
            workload_id: 'i1',
            project_id: 'p1',
            allocation_id: 'a1',
            fencing: 1,
            state,
            endpoints: [],
            restarts: 0,
          },
          ...{ since: at, services: [{ service: 'vllm', state, restarts: 0, since: at }] },
        },
        at,
      );

    expect(seen('running')).toMatchObject([{ health: 'healthy' }]);
    expect(seen('degraded')).toMatchObject([{ state: 'degraded', health: null }]);
  });
});

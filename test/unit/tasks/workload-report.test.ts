import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AgentError } from '../../../src/contract/failures.ts';
import { labels } from '../../../src/contract/names.ts';
import { maxFrameBytes } from '../../../src/contract/signing.ts';
import { judge } from '../../../src/contract/validate.ts';
import { WorkloadOutput } from '../../../src/contract/workload-output.ts';
import type { ContainerFacts } from '../../../src/runtime/engine.ts';
import { stateOf, workloadOutput } from '../../../src/tasks/workload-report.ts';
import { containerFacts, recordingEngine } from '../../support/recording-engine.ts';
import { identity, launchedContainer, launchParams, taskContext } from '../../support/task-bench.ts';

const running = { state: 'running', summary: 'The workload is running and ready.' } as const;
const { context } = taskContext(recordingEngine().engine);
const ports = [
  { name: 'web', container_port: 8888, host_port: 18888, protocol: 'http' as const },
  { name: 'metrics', container_port: 9000, host_port: 19000, protocol: 'tcp' as const },
];

describe('the output of every launch, control and removal', () => {
  const container = launchedContainer(launchParams({ ports }), {}, { restartCount: 2, health: 'healthy' });

  it('G-124, G-125: has state and what only this adapter knows', () => {
    const output = workloadOutput(identity, { ...running, container }, context);

    expect(output.state).toBe('running');
    expect(output.adapter).toEqual({
      kind: 'oci_container',
      container_id: 'found',
      container_name: 'gpuaas-notebook-1',
      container_state: 'running',
      health: 'healthy',
      exit_code: null,
      oom_killed: false,
      restart_count: 2,
      image_digest: `sha256:${'d'.repeat(64)}`,
      image_id: `sha256:${'e'.repeat(64)}`,
      gpus: [],
      adopted: false,
      packages_excerpt: null,
    });
  });

  it('has no more of the words of others than its schema allows', () => {
    const odd = launchedContainer(launchParams({ ports }), {}, { health: 'x'.repeat(9000) });
    const lines = Array.from({ length: 300 }, (_, number) => `folder ${number} ${'x'.repeat(2000)}`);
    const cleanup = { removed: lines, kept: [], failed: lines };

    const output = workloadOutput(identity, { ...running, container: odd, cleanup }, context);

    expect(judge(WorkloadOutput, output).ok).toBe(true);
    expect(output.adapter.health).toMatch(/^x+… \[cut\]$/);
    expect(output.cleanup?.removed).toHaveLength(100);
    expect(output.cleanup?.failed.at(-1)).toBe('… [201 more]');
    expect(Buffer.byteLength(JSON.stringify(output))).toBeLessThan(maxFrameBytes / 2);
  });

  it('G-126, G-208: has every declared endpoint, on the loopback address and nowhere else', () => {
    const { endpoints } = workloadOutput(identity, { ...running, container }, context);

    expect(endpoints).toEqual([
      {
        name: 'web',
        protocol: 'http',
        host: '127.0.0.1',
        port: 18888,
        url: 'http://127.0.0.1:18888/',
        exposure_mode: 'private',
      },
      { name: 'metrics', protocol: 'tcp', host: '127.0.0.1', port: 19000, url: null, exposure_mode: 'private' },
    ]);
  });

  it('G-127, G-128: refers to logs and metrics by the instance, which outlives the container', () => {
    const { logs, metrics } = workloadOutput(identity, { ...running, container }, context);

    expect(logs).toEqual([{ name: 'container', ref: 'instance:notebook-1' }]);
    expect(metrics).toEqual([{ name: 'container', ref: 'instance:notebook-1' }]);
  });

  it('G-129: has what happened, and why it failed', () => {
    const { context: eventful } = taskContext(recordingEngine().engine);
    eventful.enter('pulling');
    const failure = new AgentError('image.not_found').toFailure();

    const output = workloadOutput(identity, { state: 'failed', summary: 'x', container: undefined, failure }, eventful);

    expect(output.events).toMatchObject([{ type: 'phase.entered', phase: 'pulling' }]);
    expect(output.failure).toBe(failure);
  });

  it('points nowhere once the container is gone', () => {
    const output = workloadOutput(identity, { state: 'removed', summary: 'x', container: undefined }, context);

    expect(output).toMatchObject({
      endpoints: [],
      logs: [],
      metrics: [],
      adapter: { container_id: null, image_id: null },
    });
  });

  it('G-207: has no endpoint that was not declared, whatever the image says about itself', () => {
    const bare = containerFacts({ labels: { [labels.endpoints]: '' }, hostPorts: [18888] });

    expect(workloadOutput(identity, { ...running, container: bare }, context).endpoints).toEqual([]);
  });

  it('is what its schema says, for any container', () => {
    const containers = fc.record({
      status: fc.constantFrom('created', 'running', 'paused', 'restarting', 'removing', 'exited', 'dead'),
      exitCode: fc.option(fc.integer({ min: 0, max: 255 })),
      oomKilled: fc.boolean(),
      health: fc.option(fc.constantFrom('starting', 'healthy', 'unhealthy')),
      restartCount: fc.nat(1000),
      imageReference: fc.constantFrom('sha256:abc', `r/x@sha256:${'d'.repeat(64)}`, ''),
    });

    fc.assert(
      fc.property(containers, (facts) => {
        const each = containerFacts(facts);
        const output = workloadOutput(identity, { state: stateOf(each), summary: 'x', container: each }, context);

        expect(judge(WorkloadOutput, output)).toEqual({ ok: true, value: output });
      }),
    );
  });
});

describe('the state of a container that nobody is busy with', () => {
  it.each<[Partial<ContainerFacts>, string]>([
    [{ status: 'running' }, 'running'],
    [{ status: 'running', health: 'starting' }, 'running'],
    [{ status: 'running', health: 'healthy' }, 'running'],
    [{ status: 'running', health: 'unhealthy' }, 'degraded'],
    [{ status: 'created' }, 'stopped'],
    [{ status: 'exited', exitCode: 0 }, 'stopped'],
    [{ status: 'exited', exitCode: 143 }, 'stopped'],
    [{ status: 'exited', exitCode: 137 }, 'stopped'],
    [{ status: 'exited', exitCode: 137, oomKilled: true }, 'failed'],
    [{ status: 'exited', exitCode: 1 }, 'failed'],
    [{ status: 'exited', exitCode: 139 }, 'failed'],
    [{ status: 'exited', exitCode: null }, 'stopped'],
    [{ status: 'dead', exitCode: 1 }, 'failed'],
    [{ status: 'paused' }, 'unknown'],
    [{ status: 'restarting' }, 'unknown'],
    [{ status: 'something new' }, 'unknown'],
  ])('%j is %s', (facts, state) => {
    expect(stateOf(containerFacts(facts))).toBe(state);
  });
});

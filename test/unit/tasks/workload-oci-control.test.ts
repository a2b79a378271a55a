import { describe, expect, it, vi } from 'vitest';
import { AgentError } from '../../../src/contract/failures.ts';
import { labels } from '../../../src/contract/names.ts';
import { judge } from '../../../src/contract/validate.ts';
import type { ReadinessCheck } from '../../../src/contract/workload-oci-launch.ts';
import { WorkloadOutput } from '../../../src/contract/workload-output.ts';
import { readinessLabel } from '../../../src/policy/readiness-label.ts';
import type { ContainerFacts } from '../../../src/runtime/engine.ts';
import { controlOci } from '../../../src/tasks/workload-oci-control.ts';
import { containerFacts, type RecordingEngine, recordingEngine } from '../../support/recording-engine.ts';
import { identity, launchParams, taskContext } from '../../support/task-bench.ts';
import { waitForNothing } from '../../support/waits.ts';

// A started workload must run for a second before it counts: that second need not pass here.
waitForNothing();

const name = 'gpuaas-notebook-1';
const stopped = { status: 'exited', pid: 0, exitCode: 143, finishedAt: '2026-11-23T11:00:00Z' };
const params = (action: 'stop' | 'start' | 'restart', grace_seconds = 7) => ({ identity, action, grace_seconds });

describe('G-151: stop', () => {
  it('stops with the grace of the task', async () => {
    const { engine, calls, containers } = withContainer({});
    const { context, phases } = taskContext(engine);

    const output = await controlOci(params('stop'), context);

    expect(calls).toEqual([`inspect ${name}`, `stop ${name} 7`, `inspect ${name}`]);
    expect(phases).toEqual(['stopping', 'stopped']);
    expect(containers.get(name)?.status).toBe('exited');
    expect(output).toMatchObject({ state: 'stopped', adapter: { container_state: 'exited', exit_code: 143 } });
    expect(judge(WorkloadOutput, output).ok).toBe(true);
  });

  it.each(['stop', 'restart'] as const)('stops what somebody has paused, for a %s', async (action) => {
    const { engine, calls } = withContainer({ status: 'paused' });

    await controlOci(params(action), taskContext(engine).context);

    expect(calls).toContain(`stop ${name} 7`);
  });

  it('restarts what somebody has paused, for a start', async () => {
    const { engine, calls } = withContainer({ status: 'paused' });
    const { context, phases } = taskContext(engine);

    const output = await controlOci(params('start'), context);

    expect(calls.filter((call) => /^(stop|start) /.test(call))).toEqual([`stop ${name} 7`, `start ${name}`]);
    expect(phases).toEqual(['stopping', 'stopped', 'starting', 'running']);
    expect(output.state).toBe('running');
  });

  it('of what is stopped succeeds and changes nothing', async () => {
    const { engine, calls } = withContainer(stopped);
    const { context, phases } = taskContext(engine);

    const output = await controlOci(params('stop'), context);

    expect(calls).toEqual([`inspect ${name}`, `inspect ${name}`]);
    expect(phases).toEqual([]);
    expect(output.state).toBe('stopped');
  });

  it('twice gives the same answer', async () => {
    const { engine } = withContainer({});

    const outputs = [];
    for (const round of [1, 2]) {
      outputs.push(await controlOci(params('stop'), taskContext(engine, { taskId: `task-${round}` }).context));
    }

    const [first, second] = outputs.map(({ events: _events, ...rest }) => rest);
    expect(second).toEqual(first);
  });

  it('is stopped also where the workload had to be killed, or failed by itself', async () => {
    for (const exitCode of [0, 1, 137, 143]) {
      const { engine } = withContainer({ ...stopped, exitCode });

      expect((await controlOci(params('stop'), taskContext(engine).context)).state).toBe('stopped');
    }
  });
});

describe('G-151: start', () => {
  it('starts what is stopped and waits until it stays', async () => {
    const { engine, calls } = withContainer(stopped);
    const { context, phases } = taskContext(engine);

    const output = await controlOci(params('start'), context);

    expect(calls).toEqual([
      `inspect ${name}`,
      'list',
      `ensureNetwork ${name}`,
      `start ${name}`,
      `wait ${name}`,
      `inspect ${name}`,
      `inspect ${name}`,
    ]);
    expect(phases).toEqual(['starting', 'running']);
    expect(output).toMatchObject({ state: 'running', adapter: { container_state: 'running', exit_code: null } });
  });

  const check: ReadinessCheck = { type: 'exec', command: ['ready'], timeout_seconds: 60 };
  const remembered = { launchParams: launchParams({ readiness: [check] }) };
  const noted = { labels: { [labels.project]: 'project-7', [labels.readiness]: readinessLabel([check]) } };

  it.each([
    ['of the launch that the agent remembers', {}, remembered],
    ['that are noted on the container', noted, {}],
  ])('asks the readiness checks %s, as after a launch', async (_whose, container, given) => {
    const answers = [1, 0];
    const exec = vi.fn(async () => ({ exitCode: answers.shift() ?? 0, tail: '', adopted: false }));
    const { engine } = withContainer({ ...stopped, ...container }, { exec });
    const { context, phases } = taskContext(engine, given);

    const output = await controlOci(params('start'), context);

    expect(exec).toHaveBeenCalledTimes(2);
    expect(phases).toEqual(['starting', 'probing', 'running']);
    expect(output.state).toBe('running');
  });

  it('leaves what does not get ready running, degraded, and says so', async () => {
    const hasty = { launchParams: launchParams({ readiness: [{ ...check, timeout_seconds: 1 }] }) };
    const exec = async () => ({ exitCode: 1, tail: 'not yet', adopted: false });
    const { engine, containers } = withContainer(stopped, { exec });

    const failed = await controlOci(params('start'), taskContext(engine, hasty).context).catch((e) => e);

    expect(failed).toMatchObject({ cause: { code: 'readiness.timed_out' } });
    expect(failed.output(failed.cause.toFailure())).toMatchObject({ state: 'degraded' });
    expect(containers.get(name)?.status).toBe('running');
  });

  it('delivers the secret files of the launch again, before the start', async () => {
    const { engine, calls, secrets } = withContainer(stopped);
    const launched = launchParams({ sealed_files: { '/run/secrets/token': 'sealed-token' } });

    await controlOci(params('start'), taskContext(engine, { launchParams: launched }).context);

    expect(calls.filter((call) => /^(putSecrets|start) /.test(call))).toEqual([
      `putSecrets notebook-1 token`,
      `start ${name}`,
    ]);
    expect(secrets.get('notebook-1')?.['token']?.toString()).toBe('opened sealed-token');
  });

  it('opens the sealed variables, too, so that they are known in what the workload says', async () => {
    const opened: string[] = [];
    const unseal = async (jwe: string) => {
      opened.push(jwe);
      return Buffer.from(jwe);
    };
    const launched = launchParams({ sealed_env: { TOKEN: 'sealed-token' } });

    await controlOci(
      params('start'),
      taskContext(withContainer(stopped).engine, { launchParams: launched, unseal }).context,
    );

    expect(opened).toEqual(['sealed-token']);
  });

  it('of what runs succeeds and changes nothing', async () => {
    const { engine, calls } = withContainer({});
    const { context, phases } = taskContext(engine);

    const output = await controlOci(params('start'), context);

    expect(calls).toEqual([`inspect ${name}`, `inspect ${name}`]);
    expect(phases).toEqual([]);
    expect(output.state).toBe('running');
  });

  it('FAULTS 27: fails for a workload that ends at once, with its exit code and log', async () => {
    const { engine } = withContainer(stopped, {
      start: async () => undefined,
      wait: async () => 3,
      logs: async function* () {
        yield { cursor: '1', time: '', channel: 'stderr', data: Buffer.from('no config\n'), partial: true };
      },
    });

    await expect(controlOci(params('start'), taskContext(engine).context)).rejects.toMatchObject({
      cause: { code: 'container.exited', detail: { excerpt: 'no config' } },
    });
  });

  it('fails as the engine says where it cannot be started', async () => {
    const conflict = new AgentError('port.conflict', { port: 8888 });
    const { engine } = withContainer(stopped, { start: () => Promise.reject(conflict) });

    await expect(controlOci(params('start'), taskContext(engine).context)).rejects.toMatchObject({ cause: conflict });
  });

  it('tells of a workload that runs and is not well', async () => {
    const { engine } = withContainer({ health: 'unhealthy' });

    const output = await controlOci(params('start'), taskContext(engine).context);

    expect(output).toMatchObject({
      state: 'degraded',
      summary: 'The workload is degraded.',
      adapter: { health: 'unhealthy' },
    });
  });
});

describe('G-151: restart', () => {
  it('stops and starts the same container', async () => {
    const { engine, calls, containers } = withContainer({});
    const { context, phases } = taskContext(engine);

    const output = await controlOci(params('restart', 0), context);

    expect(calls.filter((call) => !call.startsWith('inspect') && !call.startsWith('wait'))).toEqual([
      `stop ${name} 0`,
      'list',
      `ensureNetwork ${name}`,
      `start ${name}`,
    ]);
    expect(phases).toEqual(['stopping', 'stopped', 'starting', 'running']);
    expect(containers.get(name)?.id).toBe('c0');
    expect(output.state).toBe('running');
  });

  it('of what is stopped starts it', async () => {
    const { engine, calls } = withContainer(stopped);

    await controlOci(params('restart'), taskContext(engine).context);

    expect(calls.filter((call) => call.startsWith('stop'))).toEqual([]);
    expect(calls).toContain(`start ${name}`);
  });

  it('stops nothing where a secret of it cannot be opened any more', async () => {
    const { engine, calls } = withContainer({});
    const refused = new AgentError('secret.unavailable');
    const launched = launchParams({ sealed_files: { '/run/secrets/token': 'sealed-token' } });
    const given = { launchParams: launched, unseal: () => Promise.reject(refused) };

    await expect(controlOci(params('restart'), taskContext(engine, given).context)).rejects.toMatchObject({
      cause: refused,
    });
    expect(calls.filter((call) => /^(stop|start|putSecrets) /.test(call))).toEqual([]);
  });

  it('does not start again what could not be stopped', async () => {
    const { engine, calls } = withContainer({}, { stop: () => Promise.reject(new AgentError('engine.timed_out')) });

    await expect(controlOci(params('restart'), taskContext(engine).context)).rejects.toMatchObject({
      cause: { code: 'engine.timed_out' },
    });
    expect(calls.filter((call) => call.startsWith('start'))).toEqual([]);
  });
});

describe.each(['stop', 'start', 'restart'] as const)('%s', (action) => {
  it('of a workload that is not there is refused', async () => {
    const { engine, calls } = recordingEngine();

    await expect(controlOci(params(action), taskContext(engine).context)).rejects.toMatchObject({
      code: 'container.not_found',
      detail: { container: name },
    });
    expect(calls).toEqual([`inspect ${name}`, 'list']);
  });

  it('FAULTS 6: by a task that is older than the container is stale', async () => {
    const newer = { labels: { [labels.project]: 'project-7', [labels.fencing]: '5' } };
    const { engine, calls } = withContainer(newer);

    await expect(controlOci(params(action), taskContext(engine, { fencing: 4 }).context)).rejects.toMatchObject({
      code: 'task.stale',
      detail: { fencing: 4, seen: 5 },
    });
    expect(calls).toEqual([`inspect ${name}`]);
  });

  it('makes nothing but a network that is gone, and pulls, installs and removes nothing', async () => {
    const { engine, calls } = withContainer(stopped);

    await controlOci(params(action), taskContext(engine).context);

    const network = action === 'stop' ? [] : [`ensureNetwork ${name}`];
    expect(calls.filter((call) => /^(pull|create|exec|remove|ensureNetwork|putSecrets)/.test(call))).toEqual(network);
  });
});

function withContainer(
  facts: Partial<ContainerFacts>,
  overrides: Parameters<typeof recordingEngine>[0] = {},
): RecordingEngine {
  const recorded = recordingEngine(overrides);
  recorded.containers.set(name, containerFacts(facts));
  return recorded;
}

describe.each(['stop', 'start', 'restart'] as const)('%s of the workload of another project', (action) => {
  it('is task.untrusted, and nothing is touched', async () => {
    const { engine, calls } = withContainer({ labels: { [labels.project]: 'project-8', [labels.fencing]: '1' } });

    await expect(controlOci(params(action), taskContext(engine).context)).rejects.toMatchObject({
      code: 'task.untrusted',
      detail: { errors: [{ path: '/params/identity/project_id' }] },
    });
    expect(calls).toEqual([`inspect ${name}`]);
  });
});

/** The daemon as the commands of its host see it, on a real journal and a real task loop. */
import { afterEach, describe, expect, it } from 'vitest';
import { DrainState } from '../../../src/agent/drain-state.ts';
import { HostAgent } from '../../../src/agent/host-agent.ts';
import { HostDoctor } from '../../../src/agent/host-doctor.ts';
import type { Journal } from '../../../src/agent/journal/journal.ts';
import { openJournal } from '../../../src/agent/journal/open-journal.ts';
import { TaskLoop } from '../../../src/agent/task-loop.ts';
import { rootPlaces } from '../../../src/agent/update/places.ts';
import { AgentError } from '../../../src/contract/failures.ts';
import type { TaskEnvelope, TaskResult } from '../../../src/contract/task-envelope.ts';
import type { WorkloadEvent } from '../../../src/contract/workload-output.ts';
import { createLog } from '../../../src/kit/log.ts';
import { sampleGpu } from '../../support/gpus.ts';
import { agentStatus, localAgent } from '../../support/local-agent.ts';
import { manualClock } from '../../support/manual-clock.ts';
import { recordingEngine } from '../../support/recording-engine.ts';
import { hostPolicy, identity, launchParams } from '../../support/task-bench.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';

const folder = temporaryFolder('host-agent');
const open: Journal[] = [];
afterEach(() => {
  for (const journal of open.splice(0)) {
    journal.close();
  }
});

const event: WorkloadEvent = { time: '2026-11-25T10:00:00Z', type: 'told', phase: null, message: '', values: {} };

/** `run` stands for the dispatcher. */
function bench(run: (envelope: TaskEnvelope, cancel: AbortSignal | undefined) => Promise<TaskResult>) {
  const stateDir = `${folder}/${crypto.randomUUID()}`;
  const journal = openJournal({ stateDir });
  open.push(journal);
  const drains: boolean[] = [];
  const drain = new DrainState(stateDir);
  const loop = new TaskLoop({
    ...{ journal, clock: manualClock(), parallel: 2, serverNow: () => Date.now(), admit: () => undefined },
    ...{ log: createLog({ level: 'silent' }), onEnded: () => undefined },
    supervisor: { standAside: async () => () => undefined, notePhase: () => undefined },
    dispatcher: {
      run: async (value, { cancel, onEvent } = {}) => {
        onEvent?.(event);
        return await run(value as TaskEnvelope, cancel);
      },
    },
  });
  const { agent } = localAgent();
  const { engine } = recordingEngine();
  const config = { state_dir: stateDir, stacks: { plugin_folders: [] } };
  const loaded = { config, sources: { '/state_dir': 'default' } } as never;
  const host = new HostAgent({
    ...{ journal, loop, drain, policy: hostPolicy, logs: agent.logs },
    ...{ status: () => agentStatus, explain: agent.explain, onDrain: () => void drains.push(drain.current !== null) },
    ...{
      rotateKeys: agent.rotateKeys,
      diagnose: agent.diagnose,
      doctor: new HostDoctor({ loaded, policy: hostPolicy, engine }),
      engine,
    },
    gpus: { describe: (gpus) => gpus.map((gpu) => ({ ...gpu, held_by: 'notebook-1' })) },
    health: { cards: () => [sampleGpu()], clear: (uuid) => uuid === 'GPU-1', hearsKernel: true },
    ...{ version: '0.1.0', updates: rootPlaces(stateDir), updater: { available: agent.availableUpdate } },
    kept: { items: async () => [], removeAsked: agent.removeKept },
    loaded,
  });
  return { host, journal, drains };
}

const succeeded = async ({ task_id }: TaskEnvelope): Promise<TaskResult> => {
  const time = new Date().toISOString();
  const output = { state: 'running', endpoints: [] };
  return { task_id, status: 'succeeded', output, failure: null, started_at: time, finished_at: time };
};
const launch = { type: 'workload.oci_launch', params: launchParams() };
const unheard = { onAccepted: () => undefined, onEvent: () => undefined, credential: undefined };

describe('a task of somebody on the host', () => {
  it('is a task like any other: in the journal, told of while it runs, with a result', async () => {
    const { host, journal } = bench(succeeded);
    const accepted: string[] = [];
    const events: WorkloadEvent[] = [];

    const result = await host.runTask(launch, {
      ...{
        onAccepted: (id) => void accepted.push(id),
        onEvent: (told) => void events.push(told),
        credential: undefined,
      },
    });

    expect(accepted).toEqual([result.task_id]);
    expect(events).toEqual([event]);
    expect(journal.task(result.task_id)?.result).toEqual(result);
    expect(host.tasks()).toMatchObject([{ task_id: result.task_id, state: 'succeeded', workload_id: 'notebook-1' }]);
  });

  it('has the next fencing of its workload, so that it goes before what the control plane sent earlier', async () => {
    const { host, journal } = bench(succeeded);

    await host.runTask(launch, unheard);
    await host.runTask(launch, unheard);

    expect(journal.tasks({ limit: 9 }).map(({ envelope }) => envelope.fencing)).toEqual([2, 1]);
  });

  it('has its own credential as long as it is at work, and nobody has it afterwards', async () => {
    const seen: unknown[] = [];
    const { host } = bench(async (envelope) => {
      seen.push(host.credentialOf(envelope.task_id), host.credentialOf('another'));
      return await succeeded(envelope);
    });

    const { task_id } = await host.runTask(launch, { ...unheard, credential: { bearer: 'of this one' } });

    expect(seen).toEqual([{ bearer: 'of this one' }, undefined]);
    expect(host.credentialOf(task_id)).toBeUndefined();
  });

  it('loses its credential also where it is refused', async () => {
    const { host, journal } = bench(succeeded);
    const whole = { ...(await envelopeOfOne()), workload_id: identity.app_instance_id };
    journal.accept({ ...whole, params: {} }, { now: Date.now(), fenced: true });

    const refused = host.runTask(whole, { ...unheard, credential: { bearer: 'of this one' } });

    await expect(refused).rejects.toBeInstanceOf(AgentError);
    expect(host.credentialOf(whole.task_id)).toBeUndefined();
  });

  it('that is no task is task.invalid with the paths, and in no journal', async () => {
    const { host, journal } = bench(succeeded);

    await expect(host.runTask({ task_id: '../x' }, unheard)).rejects.toMatchObject({
      code: 'task.invalid',
      detail: { errors: expect.arrayContaining([expect.objectContaining({ path: '/task_id' })]) },
    });
    expect(journal.tasks({ limit: 9 })).toEqual([]);
  });

  it('is given up when somebody says so', async () => {
    const { host } = bench(async (envelope, cancel) => {
      const { promise, resolve } = Promise.withResolvers<void>();
      cancel?.addEventListener('abort', () => resolve(), { once: true });
      if (!cancel?.aborted) {
        await promise;
      }
      return { ...(await succeeded(envelope)), status: 'cancelled', output: null };
    });
    const running = host.runTask(launch, { ...unheard, onAccepted: (id) => expect(host.cancel(id)).toBe(true) });

    expect((await running).status).toBe('cancelled');
    expect(host.cancel('unknown')).toBe(false);
  });
});

describe('an operator on the host', () => {
  it('drains it and takes that back, and whoever reports is told each time', async () => {
    const { host, drains } = bench(succeeded);

    await host.drain(true);
    await host.drain(false);

    expect(drains).toEqual([true, false]);
  });

  it('sees the configuration, where it came from, and the policy it makes', async () => {
    expect(await bench(succeeded).host.config()).toMatchObject({
      sources: { '/state_dir': 'default' },
      policy: { node_id: 'node-1' },
    });
  });

  it('has the host examined, the engine through the gate', async () => {
    const names = (await bench(succeeded).host.doctor(AbortSignal.timeout(20_000))).map(({ name }) => name);

    expect(names.length).toBeGreaterThan(5);
    expect(new Set(names).size).toBe(names.length);
  });
});

async function envelopeOfOne(): Promise<TaskEnvelope> {
  return {
    ...{ task_id: 'task-1', type: 'workload.oci_launch', schema_version: 1, node_id: 'node-1', attempt: 1, fencing: 1 },
    ...{ allocation_id: 'alloc-1', workload_id: 'notebook-1', deadline_seconds: 60, trace_id: '' },
    ...{ issued_at: new Date().toISOString(), not_after: new Date(Date.now() + 3_600_000).toISOString() },
    params: launchParams(),
  };
}

it('shows the cards with who holds them, and forgets what it has against one when somebody has seen to it', () => {
  const { host } = bench(succeeded);

  expect(host.cards()).toEqual({ gpus: [sampleGpu({ held_by: 'notebook-1' })], hears_kernel: true });
  expect([host.clearCard('GPU-1'), host.clearCard('GPU-other')]).toEqual([true, false]);
});

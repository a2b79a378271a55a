import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { AgentError, type FailureCode } from '../../../src/contract/failures.ts';
import type { BuildImage } from '../../../src/contract/job-build.ts';
import { labels } from '../../../src/contract/names.ts';
import type { ContainerRequest } from '../../../src/policy/container-request.ts';
import type { ContainerEngine } from '../../../src/runtime/engine.ts';
import { patientEngine } from '../../../src/runtime/patient-engine.ts';
import { containerFacts, type RecordingEngine, recordingEngine } from '../../support/recording-engine.ts';
import { waitOnGlobalTimers } from '../../support/waits.ts';

// The clock of these tests is not the machine's: a minute of patience passes at once.
waitOnGlobalTimers();

const never = new AbortController().signal;
const name = 'gpuaas-notebook-1';
const buildImage: BuildImage = {
  ...{ kind: 'build', revision_sha256: '0'.repeat(64), revision_bytes: 1, dockerfile: 'Dockerfile', context: '.' },
  ...{ args: {}, bases: {}, init: [], work_dir: '/app', network: 'none', timeout_seconds: 600 },
};

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe('while the engine is away', () => {
  it('asks again until it is back, and tells about it once', async () => {
    const { patient, calls, absences } = impatient({ list: failing(5, 'engine.unavailable', async () => []) });

    const listed = patient.list(never);
    await vi.runAllTimersAsync();

    expect(await listed).toEqual([]);
    expect(calls).toEqual(Array(6).fill('list'));
    expect(absences()).toBe(1);
  });

  it('tells about each absence anew', async () => {
    const list = vi.fn<ContainerEngine['list']>(async () => []);
    const { patient, absences } = impatient({ list });

    for (const _absence of [1, 2]) {
      list.mockRejectedValueOnce(new AgentError('engine.unavailable'));
      const listed = patient.list(never);
      await vi.runAllTimersAsync();
      await listed;
    }

    expect(absences()).toBe(2);
  });

  it.each(['no_permission', 'too_old'])('waits for nothing where it is %s', async (state) => {
    const refused = new AgentError('engine.unavailable', { state });
    const { patient, calls, absences } = impatient({ list: () => Promise.reject(refused) });

    await expect(patient.list(never)).rejects.toBe(refused);

    expect(calls).toEqual(['list']);
    expect(absences()).toBe(0);
  });

  it('waits longer each time, and never longer than two seconds', async () => {
    const times: number[] = [];
    const { patient } = impatient({
      list: async () => {
        times.push(performance.now());
        throw new AgentError('engine.unavailable');
      },
    });

    const listed = settled(patient.list(never));
    await vi.runAllTimersAsync();
    await listed;

    const waits = times.slice(1).map((time, index) => time - (times[index] ?? 0));
    expect(waits[0]).toBeLessThanOrEqual(101);
    expect(Math.max(...waits)).toBeLessThanOrEqual(2001);
    expect(waits.at(-1)).toBeGreaterThanOrEqual(999);
  });

  it('gives up once its patience is over, with the error of the engine', async () => {
    const gone = new AgentError('engine.unavailable', { socket: '/run/gate.sock' });
    const { patient } = impatient({ inspect: () => Promise.reject(gone) });
    const began = performance.now();

    const inspected = settled(patient.inspect(name, never));
    await vi.runAllTimersAsync();

    expect(await inspected).toEqual({ status: 'rejected', reason: gone });
    expect(performance.now() - began).toBeGreaterThanOrEqual(60_000);
    expect(performance.now() - began).toBeLessThanOrEqual(63_000);
  });

  it('stops waiting with the reason of the signal', async () => {
    const controller = new AbortController();
    const cancelled = new Error('cancelled');
    const { patient } = impatient({ start: () => Promise.reject(new AgentError('engine.unavailable')) });

    const started = settled(patient.start(name, controller.signal));
    await vi.advanceTimersByTimeAsync(10);
    controller.abort(cancelled);

    expect(await started).toEqual({ status: 'rejected', reason: cancelled });
  });
});

it.each<FailureCode>(['engine.timed_out', 'name.conflict', 'port.conflict', 'image.not_found', 'internal'])(
  'lets %s through at once',
  async (code) => {
    const error = new AgentError(code);
    const { patient, calls, absences } = impatient({ start: () => Promise.reject(error) });

    expect(await settled(patient.start(name, never))).toEqual({ status: 'rejected', reason: error });
    expect(calls).toEqual([`start ${name}`]);
    expect(absences()).toBe(0);
  },
);

it('lets an error that is none of ours through at once', async () => {
  const { patient, calls } = impatient({ list: () => Promise.reject(new TypeError('a bug')) });

  await expect(patient.list(never)).rejects.toThrow('a bug');
  expect(calls).toEqual(['list']);
});

describe('every call but the streams', () => {
  const request = requestOf('task-1');
  const image = {
    kind: 'registry',
    reference: `r.example/x@sha256:${'a'.repeat(64)}`,
    media_type: 'application/vnd.oci.image.manifest.v1+json',
  } as const;
  const owner = { project_id: 'project-1', allocation_id: 'alloc-1', task_id: 'task-1', fencing: 1 };
  const asked: { [M in keyof ContainerEngine]?: (engine: ContainerEngine) => Promise<unknown> } = {
    facts: (engine) => engine.facts(never),
    pull: (engine) => engine.pull(image, { signal: never, diskReserveBytes: 0 }),
    image: (engine) => engine.image(image.reference, never),
    builtImage: (engine) => engine.builtImage({ projectId: 'project-1', source: buildImage }, never),
    list: (engine) => engine.list(never),
    inspect: (engine) => engine.inspect(name, never),
    create: (engine) => engine.create(name, request, never),
    start: (engine) => engine.start(name, never),
    stop: (engine) => engine.stop(name, 10, never),
    remove: (engine) => engine.remove(name, never),
    wait: (engine) => engine.wait(name, never),
    exec: (engine) => engine.exec(name, ['true'], { signal: never }),
    stats: (engine) => engine.stats(name, never),
    ensureNetwork: (engine) => engine.ensureNetwork(name, {}, never),
    networks: (engine) => engine.networks(never),
    removeNetwork: (engine) => engine.removeNetwork(name, never),
    getArchive: (engine) => engine.getArchive(name, '/data', never),
    volumes: (engine) => engine.volumes(never),
    removeVolume: (engine) => engine.removeVolume('gpuaas-job-1.data', never),
    statPath: (engine) => engine.statPath(name, '/bin/sh', never),
    importedImage: (engine) => engine.importedImage({ projectId: 'project-1', hash: 'sha3:0' }, never),
    builds: (engine) => engine.builds(never),
    removeBuilt: (engine) => engine.removeBuilt({ project_id: 'project-1', key: '1'.repeat(64) }, never),
    removeLayers: (engine) => engine.removeLayers({ untilMs: 0, signal: never }),
    caches: (engine) => engine.caches({ measure: false, signal: never }),
    measureDisk: (engine) => engine.measureDisk(never),
    removeCache: (engine) => engine.removeCache('gpuaas-cache.a.b', { empty: false, signal: never }),
    ensureEgress: (engine) => engine.ensureEgress('job-1', { ...owner, egress: { rules: [], any_public: [] } }, never),
    ensureInputs: (engine) => engine.ensureInputs('job-1', 'data', never),
    putSecrets: (engine) => engine.putSecrets('notebook-1', {}, never),
    removeData: (engine) => engine.removeData('notebook-1', { data: true }, never),
    wipe: (engine) => engine.wipe(never),
  };
  const calls = Object.entries(asked) as [keyof ContainerEngine, (engine: ContainerEngine) => Promise<unknown>][];

  it.each(calls)('survives one absence: %s', async (method, ask) => {
    const answer = { the: 'answer' };
    const { patient } = impatient({ [method]: failing(1, 'engine.unavailable', async () => answer) });

    const answered = ask(patient);
    await vi.runAllTimersAsync();

    expect(await answered).toBe(answer);
  });

  it('is one of these: nothing was forgotten', () => {
    const streams = ['build', 'close', 'events', 'importImage', 'logs', 'putArchive'];

    expect([...calls.map(([method]) => method), ...streams].sort()).toEqual(
      Object.keys(recordingEngine().engine).sort(),
    );
  });
});

describe('FAULTS 36: a create whose answer was lost', () => {
  it('is not repeated when the container of this task is there', async () => {
    const { patient, calls } = impatient({
      create: failing(1, 'engine.unavailable'),
      inspect: async () => containerFacts({ id: 'made', labels: requestOf('task-1').Labels }),
    });

    const created = patient.create(name, requestOf('task-1'), never);
    await vi.runAllTimersAsync();

    expect(await created).toEqual({ id: 'made', freshData: false });
    expect(calls).toEqual([`create ${name}`, `inspect ${name}`]);
  });

  it('is repeated when there is no container', async () => {
    const { patient, calls, containers } = impatient({ create: failing(1, 'engine.unavailable') });

    const created = patient.create(name, requestOf('task-1'), never);
    await vi.runAllTimersAsync();

    expect(await created).toEqual({ id: 'c1', freshData: true });
    expect(calls).toEqual([`create ${name}`, `inspect ${name}`, `create ${name}`]);
    expect([...containers.keys()]).toEqual([name]);
  });

  it("never takes another task's container for its own", async () => {
    const { patient, containers } = impatient({ create: failing(1, 'engine.unavailable') });
    containers.set(name, containerFacts({ labels: requestOf('task-0').Labels }));

    const created = settled(patient.create(name, requestOf('task-1'), never));
    await vi.runAllTimersAsync();

    expect(await created).toMatchObject({ status: 'rejected', reason: { code: 'name.conflict' } });
  });

  it('asks nothing beforehand where nothing was lost', async () => {
    const { patient, calls } = impatient({});

    await patient.create(name, requestOf('task-1'), never);

    expect(calls).toEqual([`create ${name}`]);
  });
});

describe('FAULTS 36: an exec whose answer was lost', () => {
  it('is joined where it still runs, with the output going where it went', async () => {
    const seen: unknown[] = [];
    const onOutput = () => undefined;
    const { patient } = impatient({
      exec: failing(1, 'engine.unavailable', async (...args: unknown[]) => {
        seen.push(args);
        return { exitCode: 0, tail: '', adopted: true };
      }),
    });

    const ran = patient.exec(name, ['python', '-V'], { signal: never, onOutput });
    await vi.runAllTimersAsync();

    expect(await ran).toMatchObject({ adopted: true });
    expect(seen).toEqual([[name, ['python', '-V'], { signal: never, onOutput, adopt: true }]]);
  });

  it('is not joined to somebody else at the first try', async () => {
    const { patient, calls } = impatient({});

    await patient.exec(name, ['python', '-V'], { signal: never });

    expect(calls).toEqual([`exec ${name} python -V`]);
  });
});

function impatient(overrides: Partial<ContainerEngine>): RecordingEngine & {
  patient: ContainerEngine;
  absences: () => number;
} {
  let away = 0;
  const recording = recordingEngine(overrides);
  for (const [method, override] of Object.entries(overrides)) {
    usual.set(override, recording.defaults[method as keyof ContainerEngine] as Call);
  }
  const patient = patientEngine(recording.engine, () => {
    away += 1;
  });
  return { ...recording, patient, absences: () => away };
}

type Call = (...args: never[]) => Promise<unknown>;
/** What an override falls back to once it has failed often enough. */
const usual = new WeakMap<object, Call>();

/** Fails so many times, then does what `then` does, or what the engine usually does. */
function failing(times: number, code: FailureCode, then?: (...args: unknown[]) => Promise<unknown>): never {
  let left = times;
  const call = async (...args: never[]) => {
    left -= 1;
    if (left >= 0) {
      throw new AgentError(code);
    }
    return await (then ?? usual.get(call))?.(...args);
  };
  return call as never;
}

/** The outcome of a promise that may be rejected while nobody looks. */
async function settled<T>(promise: Promise<T>): Promise<PromiseSettledResult<T>> {
  const [outcome] = await Promise.allSettled([promise]);
  return outcome as PromiseSettledResult<T>;
}

function requestOf(task: string): ContainerRequest {
  const Labels = { [labels.instance]: 'notebook-1', [labels.task]: task };
  const HostConfig = { Mounts: [], NanoCpus: 1e9, Memory: 2 ** 30, PortBindings: {} };
  return { Image: 'r.example/x', Labels, HostConfig } as unknown as ContainerRequest;
}

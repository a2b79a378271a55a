import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, it, vi } from 'vitest';
import { AgentError } from '../../../src/contract/failures.ts';
import type { Gpu } from '../../../src/contract/gpus.ts';
import type { JobPlan } from '../../../src/contract/job-plan.ts';
import { labels } from '../../../src/contract/names.ts';
import { judge } from '../../../src/contract/validate.ts';
import { WorkloadOciRuntimeStatusOutput } from '../../../src/contract/workload-oci-runtime-status.ts';
import { createLog } from '../../../src/kit/log.ts';
import type { HostPolicy } from '../../../src/policy/host-policy.ts';
import type { ContainerEngine, EngineFacts } from '../../../src/runtime/engine.ts';
import type { StackRunner } from '../../../src/runtime/stacks.ts';
import { Admission } from '../../../src/tasks/admission.ts';
import { runtimeStatus, type StatusSources } from '../../../src/tasks/workload-oci-runtime-status.ts';
import { cardLedger, sampleGpu } from '../../support/gpus.ts';
import { recordingStacks } from '../../support/recording-stacks.ts';
import { patience, standIn, testFolder } from '../host/stand-ins.ts';

const gib = 2 ** 30;
const facts: EngineFacts = {
  ...{ version: '20.10.24+dfsg1', apiVersion: '1.41', runtimes: ['runc', 'io.containerd.runc.v2'] },
  ...{
    storageDriver: 'overlay2',
    cgroupDriver: 'cgroupfs',
    cgroupVersion: '1',
    rootDir: '/',
    runtimePrograms: new Map(),
    defaultRuntime: 'runc',
    limits: { memory: true, cpu: true, pids: true },
    liveRestore: false,
    cdiFolders: [],
  },
};
const away = new AgentError('engine.unavailable', { state: 'not_running', reason: 'Nothing listens on its socket.' });

afterEach(() => void vi.useRealTimers());

it('reports a host that is ready, with all that is known about it (G-149, G-156)', async () => {
  vi.useFakeTimers({ toFake: ['Date'], now: Date.parse('2026-11-23T10:00:00Z') });
  const folder = testFolder();
  standIn(folder, 'docker', 'exit 1');

  const { output } = await probe({ path: folder, cards: [sampleGpu({ uuid: 'GPU-1a' })] });

  expect(judge(WorkloadOciRuntimeStatusOutput, output)).toEqual({ ok: true, value: output });
  expect(output).toMatchObject({
    ...{ ready: true, reasons: [], compose_version: '2.26.1' },
    runtimes: [
      { name: 'docker', state: 'ready', version: '20.10.24+dfsg1', found: `${folder}/docker`, approved: true },
      { name: 'podman', state: 'not_installed', approved: false },
      { name: 'nerdctl', state: 'not_installed', approved: false },
    ],
    engine: { version: '20.10.24+dfsg1', api_version: '1.41', storage_driver: 'overlay2', root_dir: '/' },
    gpus: [{ uuid: 'GPU-1a', name: 'NVIDIA H100 80GB HBM3', memory_mib: 81559 }],
    offers: {
      sandboxes: ['runc'],
      builds: false,
      build_network: false,
      gvisor_cards: false,
      downloads: false,
      plans: ['folder_inputs', 'shared_services', 'service_states', 'disk', 'allow_list', 'payload'],
    },
  });
  expect(output.probed_at).toBe('2026-11-23T10:00:00.000Z');
});

it('says whether images are built, and whether a build may have a network', async () => {
  const builds = { cpu_cores: 1, memory_gib: 1, context_gib: 1 };
  const said = async (builds: NonNullable<HostPolicy['builds']>) => (await probe({ policy: { builds } })).output.offers;

  expect(await said(builds)).toMatchObject({ builds: true, build_network: false });
  expect(await said({ ...builds, network: 'bridge' })).toMatchObject({ builds: true, build_network: true });
});

it('says whether images are downloaded that are named by their hash', async () => {
  const payloads = { max_gib: 1, unpacked_gib: 1 };

  expect((await probe({ policy: { payloads } })).output.offers).toMatchObject({ downloads: true });
});

it('says whether gVisor gets cards: where its operator lets it, the engine has it, and nothing stands against it', async () => {
  const gvisor = { runc: 'runc', gvisor: 'runsc' };
  const engine = engineWith('echo "runsc version 1"');
  const said = async (options: ProbeOptions) => (await probe({ engine, ...options })).output.offers;
  const given = { sandboxes: gvisor, gvisor_cards: true };

  expect(await said({ policy: given })).toMatchObject({ sandboxes: ['runc', 'gvisor'], gvisor_cards: true });
  expect(await said({ policy: { sandboxes: gvisor } })).toMatchObject({ gvisor_cards: false });
  expect(await said({ policy: { ...given, gvisor_cards: false } })).toMatchObject({ gvisor_cards: false });
  expect(await said({ policy: { gvisor_cards: true, sandboxes: { runc: 'runc' } } })).toMatchObject({
    gvisor_cards: false,
  });
  expect(await said({ policy: given, whyNoneInGvisor: 'It knows no such driver.' })).toMatchObject({
    ...{ sandboxes: ['runc', 'gvisor'], gvisor_cards: false },
  });
});

it('offers gVisor only where the program behind its name says that it is one', async () => {
  const sandboxes = { runc: 'runc', gvisor: 'runsc' };
  const said = async (script: string, over: Partial<HostPolicy> = {}) => {
    const { output, logged } = await probe({ engine: engineWith(script), policy: { sandboxes, ...over } });
    return { ...output, logged: logged.join() };
  };

  expect((await said('echo "runsc version release-20240729.0"; echo "spec: 1.1.0"')).offers?.sandboxes).toContain(
    'gvisor',
  );
  const other = await said('echo "runc version 1.2.3"');
  expect(other).toMatchObject({ ready: true, offers: { sandboxes: ['runc'] } });
  expect(other.logged).toContain('does not say that it is a runsc');
  expect((await said('exit 1')).offers?.sandboxes).toEqual(['runc']);
  expect((await said('echo "runsc version 1"; exit 1')).offers?.sandboxes).toEqual(['runc']);
  expect((await said('echo "runc version 1"; echo "runsc version 9"')).offers?.sandboxes).toEqual(['runc']);
  expect(await said('exit 1', { sandboxes: { gvisor: 'runsc' } })).toMatchObject({
    ...{ ready: false, reasons: [expect.stringContaining('does not say that it is a runsc')] },
  });
});

it.each([
  ['by the names of CDI specs', ['GPU-1a'], false, 'cdi'],
  ["by ids, with the toolkit's hook", [], true, 'nvidia_ids'],
  ['by ids, where the specs name other cards', ['GPU-old'], true, 'nvidia_ids'],
  ['not at all', ['GPU-old'], false, null],
] as const)('says that NVIDIA cards are handed out %s', async (_how, named, hasHook, by) => {
  const folder = testFolder();
  const devices = named.map((name) => ({ name }));
  writeFileSync(join(folder, 'nvidia.yaml'), JSON.stringify({ kind: 'nvidia.com/gpu', devices }));
  if (hasHook) standIn(folder, 'nvidia-container-runtime-hook', 'exit 0');
  const engine = { facts: async () => ({ ...facts, cdiFolders: [folder] }), list: async () => [] };

  const withCard = await probe({ path: folder, cards: [sampleGpu({ uuid: 'GPU-1a' })], engine });
  const without = await probe({ path: folder, cards: [sampleGpu({ vendor: 'amd' })], engine });

  expect(judge(WorkloadOciRuntimeStatusOutput, withCard.output)).toMatchObject({ ok: true });
  expect(withCard.output.engine?.gives_cards).toBe(by);
  expect(without.output.engine).not.toHaveProperty('gives_cards');
});

it('says how much a launch may still ask for, by what running workloads are promised', async () => {
  const containers = [
    { instance: 'a', status: 'running', cpuCores: 1.5, memoryBytes: 2 * gib },
    { instance: 'b', status: 'exited', cpuCores: 4, memoryBytes: 4 * gib },
  ];

  const { output } = await probe({ containers });

  expect(output.resources.cpu_cores).toEqual({ total: 8, reserved: 1, used: 1.5, free: 5.5 });
  expect(output.resources.memory_gib).toEqual({ total: 32, reserved: 4, used: 2, free: 26 });
  expect(output.resources.disk_gib.total).toBeGreaterThan(output.resources.disk_gib.used);
  expect(output.resources.disk_gib.used).toBeGreaterThan(0);
});

it('stays ready when CPU and memory are given out: a launch may replace what holds them', async () => {
  const { output } = await probe({
    containers: [{ instance: 'a', status: 'running', cpuCores: 7, memoryBytes: 28 * gib }],
  });

  expect(output).toMatchObject({ ready: true, resources: { cpu_cores: { free: 0 }, memory_gib: { free: 0 } } });
});

it('is not ready while the engine is away, and says why; that is no failure of the task (G-191, G-195)', async () => {
  const { output } = await probe({ engine: { facts: () => Promise.reject(away), list: () => Promise.reject(away) } });

  expect(judge(WorkloadOciRuntimeStatusOutput, output)).toMatchObject({ ok: true });
  expect(output).toMatchObject({ ready: false, engine: null, compose_version: '2.26.1' });
  expect(output.reasons).toEqual([expect.stringContaining('No program docker or dockerd')]);
  expect(output.resources.memory_gib).toMatchObject({ used: 0, free: 0 });
  expect(output.resources.memory_gib.total).toBeGreaterThan(0);
});

it('waits a while for an engine that is just being restarted, and for what it has promised as well (FAULTS 36)', async () => {
  let asked = 0;
  const back = async () => {
    asked += 1;
    if (asked <= 3) throw away;
    return facts;
  };
  const list = async () => {
    if (asked <= 3) throw away;
    return [];
  };

  const { output } = await probe({ engine: { facts: back, list }, patience: forLong });

  expect(output).toMatchObject({ ready: true, reasons: [], engine: { version: '20.10.24+dfsg1' } });
  expect(output.resources.cpu_cores.free).toBe(7);
});

it('does not wait for ever for an engine that is away', async () => {
  const gone = { facts: () => Promise.reject(away), list: () => Promise.reject(away) };

  const { output, logged } = await probe({ engine: gone, patience: briefly });

  expect(output).toMatchObject({ ready: false, engine: null });
  expect(logged.join()).toContain('waiting for it');
});

it('gives up on an engine that hangs and reports the rest (FAULTS 17)', async () => {
  const folder = testFolder();
  standIn(folder, 'dockerd', 'exit 0');
  const cards = [sampleGpu({ uuid: 'GPU-1a' })];
  const hang = (signal: AbortSignal) =>
    new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));

  const { output } = await probe({ path: folder, cards, engine: { facts: hang, list: hang }, engineTimeoutMs: 200 });

  expect(output).toMatchObject({ ready: false, engine: null, gpus: [{ uuid: 'GPU-1a' }] });
  expect(output.reasons.join()).toContain('did not answer in time');
});

it('lists what stands against a launch: an engine that is not approved, a runtime that is missing, a full disk', async () => {
  const { output } = await probe({
    policy: {
      approved_engines: ['podman'],
      sandboxes: { gvisor: 'runsc' },
      reserves: { ...policy.reserves, disk_gib: 1e9 },
    },
  });

  expect(output.ready).toBe(false);
  expect(output.reasons).toEqual([
    expect.stringContaining('does not approve docker'),
    expect.stringContaining('none of the runtimes'),
    expect.stringContaining("engine's disk"),
  ]);
  expect(output.resources.disk_gib.free).toBe(0);
});

it('says how much would make room for a job, and is ready where that is all there is', async () => {
  const said = async (evictableGib: number, disk_gib = 0) => {
    const reserves = { ...policy.reserves, disk_gib };
    return (await probe({ evictable: async () => evictableGib * gib, policy: { reserves } })).output;
  };
  const { free, ...disk } = (await said(1)).resources.disk_gib;
  expect(disk).toMatchObject({ evictable: 1 });
  expect(free).toBeGreaterThan(0);
  // Files with holes in them are larger than what they take.
  const all = (await said(1e9)).resources.disk_gib;
  expect(all.evictable).toBeCloseTo(all.used, 0);

  // What is missing of the reserve comes first.
  const short = await said(2, free + 1);
  expect(short).toMatchObject({ ready: true, resources: { disk_gib: { free: 0 } } });
  expect(short.resources.disk_gib.evictable).toBeCloseTo(1, 0);
  expect((await said(1, free + 3)).resources.disk_gib).toMatchObject({ free: 0, evictable: 0 });
});

it('says what jobs at work may write yet of what is free', async () => {
  const { output } = await probe({ evictable: async () => 0, held: new Map([['job-1', 3 * gib]]) });

  expect(output.resources.disk_gib).toMatchObject({ held: { 'job-1': 3 } });
  expect(judge(WorkloadOciRuntimeStatusOutput, output).ok).toBe(true);
});

it('has nothing free for anybody while it launches nothing, though more than the reserve is free again', async () => {
  const { output } = await probe({ evictable: async () => gib, isShort: true });

  expect(output).toMatchObject({ ready: false, resources: { disk_gib: { free: 0, evictable: 0 } } });
});

it('says nothing of that where no room is made, or nobody knows', async () => {
  const away = async () => Promise.reject(new AgentError('engine.unavailable'));

  expect((await probe({})).output.resources.disk_gib).not.toHaveProperty('evictable');
  expect((await probe({ evictable: away })).output.resources.disk_gib).not.toHaveProperty('evictable');
});

it('logs why cards or Compose are missing, and still reports the host ready', async () => {
  const reason = 'The docker client has no Compose plugin.';
  const version = () => Promise.reject(new AgentError('compose.unavailable', { reason }));
  const { stacks } = recordingStacks({ version });

  const { output, logged } = await probe({
    driverTrouble: 'nvidia-smi ended with 9 (the driver is not loaded).',
    stacks,
  });

  expect(output).toMatchObject({ ready: true, gpus: [], compose_version: null });
  expect(logged.join()).toContain('the driver is not loaded');
  expect(logged.join()).toContain('docker client');
});

it('ends with the reason of the signal', async () => {
  await expect(probe({ signal: AbortSignal.abort(new Error('cancelled')) })).rejects.toThrow('cancelled');
});

it('does not hide a mistake in the program behind an answer', async () => {
  const broken = { facts: () => Promise.reject(new TypeError('a bug')), list: () => Promise.resolve([]) };

  await expect(probe({ engine: broken })).rejects.toThrow('a bug');
});

const backoff = { firstMs: 1, maxMs: 10, factor: 2 };
const forLong = { patienceMs: 25_000, backoff };
const briefly = { patienceMs: 100, backoff };
const policy: HostPolicy = {
  node_id: 'test-node',
  allocation: { id: 'alloc', uid: 4242, gid: 4242, home: '/home/alloc' },
  ...{ registries: [], local_images: [], project_storage: false, network_pool: '10.213.0.0/20' },
  ...{ approved_engines: ['docker'], sandboxes: { runc: 'runc' }, secrets_dir: '/run/secrets' },
  inputs: { dir: '/var/lib/inputs', max_gib: 1, max_age_hours: 1, allow: [], endpoints: {} },
  reserves: { cpu_cores: 1, memory_gib: 4, disk_gib: 0 },
  limits: { pids: 512, open_files: 4096 },
};

/** An engine whose runtime `runsc` is this script. */
function engineWith(script: string): Pick<ContainerEngine, 'facts' | 'list'> {
  const runtimePrograms = new Map([['runsc', { path: standIn(testFolder(), 'runsc', script), args: [] }]]);
  return {
    facts: async () => ({ ...facts, runtimes: ['runc', 'runsc'], runtimePrograms }),
    list: async () => [],
  };
}

interface ProbeOptions extends Partial<StatusSources> {
  readonly containers?: { instance: string; status: string; cpuCores: number; memoryBytes: number }[];
  readonly cards?: Gpu[];
  readonly driverTrouble?: string;
  readonly whyNoneInGvisor?: string;
  readonly engine?: Pick<ContainerEngine, 'facts' | 'list'>;
  readonly policy?: Partial<HostPolicy>;
  readonly stacks?: StackRunner;
  readonly evictable?: () => Promise<number>;
  readonly isShort?: boolean;
  readonly held?: ReadonlyMap<string, number>;
  readonly signal?: AbortSignal;
}

async function probe({ containers = [], engine, stacks, policy: over, signal = patience, ...rest }: ProbeOptions) {
  const { evictable, isShort = false, held = new Map(), ...looked } = rest;
  const begin = async <T>(_plan: JobPlan, _signal: AbortSignal, start: () => T) => start();
  const look = evictable && (async () => ({ evictable: await evictable(), isShort, held }));
  const room = look && { look, begin, make: async () => undefined };
  const { cards, driverTrouble: reason = null, whyNoneInGvisor, ...sources } = looked;
  const known = containers.map(({ instance, ...facts }) => ({
    ...{ id: instance, name: `gpuaas-${instance}`, labels: { [labels.instance]: instance } },
    ...facts,
  }));
  const used = engine ?? { facts: () => Promise.resolve(facts), list: () => Promise.resolve(known) };
  const effective = { ...policy, ...over };
  const logged: string[] = [];
  const output = await runtimeStatus(
    {
      engine: used as ContainerEngine,
      stacks: stacks ?? recordingStacks().stacks,
      jobs: { room },
      policy: effective,
      admission: new Admission({
        ...{ engine: used, policy: effective },
        totals: () => Promise.resolve({ cpuCores: 8, memoryBytes: 32 * gib }),
      }),
      gpus: cardLedger(used, cards, { reason, whyNoneInGvisor }).ledger,
      log: createLog({ destination: { write: (line) => void logged.push(line) } }),
      signal,
    },
    { path: '', places: [], sockets: { podman: [], nerdctl: [] }, ...sources },
  );
  return { output, logged };
}

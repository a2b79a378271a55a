/**
 * The probe and the doctor on this very host: real engine, real gate, real podman.
 */
import { execFile } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer, request } from 'node:http';
import { createServer as createSocketServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { claim } from '../../bootstrap/dev/claims.ts';
import { ensureEngine } from '../../bootstrap/dev/engine.ts';
import { ensurePackages } from '../../bootstrap/dev/packages.ts';
import { startPodman } from '../../bootstrap/dev/podman.ts';
import { openGpuLedger } from '../../src/agent/host-gpus.ts';
import { judge } from '../../src/contract/validate.ts';
import { WorkloadOciRuntimeStatusOutput } from '../../src/contract/workload-oci-runtime-status.ts';
import { startGate } from '../../src/gate/gate.ts';
import { runChecks } from '../../src/host/doctor/check.ts';
import { hostChecks } from '../../src/host/doctor.ts';
import { createLog } from '../../src/kit/log.ts';
import type { HostPolicy } from '../../src/policy/host-policy.ts';
import { openStacks } from '../../src/runtime/compose/open-stacks.ts';
import { openDockerEngine } from '../../src/runtime/docker/docker-engine.ts';
import { Admission } from '../../src/tasks/admission.ts';
import { runtimeStatus, type StatusSources } from '../../src/tasks/workload-oci-runtime-status.ts';
import { engineCall } from '../support/engine-call.ts';
import { onShadow } from './host-shadow.ts';

const exec = promisify(execFile);
const printStatus = join(import.meta.dirname, 'host-print-status.ts');
/** The deadlines tell what hangs; a busy machine is given time. */
const usualSources: StatusSources = { path: process.env['PATH'], engineTimeoutMs: 60_000, programTimeoutMs: 60_000 };
const nobody = 65_534;

let engineSocket: string;
let folder: string;

beforeAll(async () => {
  engineSocket = (await ensureEngine()).socketPath;
  await ensurePackages(['podman']);
  folder = mkdtempSync(join(tmpdir(), 'gp-'));
});

afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

describe('workload.oci_runtime_status on this host', () => {
  it('finds the engine ready through the gate, and podman installed without a service (G-156, G-191)', async () => {
    const output = await withGate(engineSocket, ({ ask }) => ask({ ...usualSources, sockets: noSockets() }));

    expect(judge(WorkloadOciRuntimeStatusOutput, output)).toMatchObject({ ok: true });
    expect(output).toMatchObject({
      ...{ ready: true, reasons: [] },
      runtimes: [
        { name: 'docker', state: 'ready', version: expect.stringMatching(/^\d+\./), approved: true },
        { name: 'podman', state: 'not_running', found: '/usr/bin/podman', version: expect.stringMatching(/^\d+\.\d+/) },
        { name: 'nerdctl' },
      ],
      engine: { storage_driver: expect.any(String), runtimes: expect.arrayContaining(['runc']) },
    });
    expect(output.resources.cpu_cores.total).toBeGreaterThan(0);
    expect(output.resources.disk_gib.free).toBeGreaterThan(0);
  });

  it.each([
    ['root', undefined],
    ['an unprivileged user', nobody],
  ])('changes nothing on the file system, and only asks the engine, as %s (G-156)', async (_, uid) => {
    const engine = await recordingEngine();
    await withGate(engine.socket, async ({ policy, gateSocket }) => {
      const question = JSON.stringify({ gateSocket, policy, sources: usualSources, uid });
      engine.methods.length = 0;

      const { stdout, written } = await onShadow(gateSocket, [process.execPath, printStatus, question]);

      const podman = { name: 'podman', found: '/usr/bin/podman', version: expect.stringMatching(/^\d/) };
      expect(JSON.parse(stdout).runtimes).toMatchObject([{ found: expect.any(String) }, podman, {}]);
      expect(written).toEqual([]);
      expect(engine.methods.length).toBeGreaterThan(0);
      expect(new Set(engine.methods)).toEqual(new Set(['GET']));
    }).finally(engine.close);
  });

  it('would have been caught if it wrote: `podman info` leaves files behind', async () => {
    const { written } = await onShadow(undefined, ['podman', 'info']);

    expect(written.join('\n')).toContain('var/lib/containers');
  });

  it('tells a stopped engine from one that hangs, and waits for neither (FAULTS 17, G-191)', async () => {
    const hanging = createSocketServer(() => undefined).listen(join(folder, 'hanging.sock'));
    try {
      const [stopped, hung] = await Promise.all(
        ['nobody.sock', 'hanging.sock'].map((name) =>
          withGate(join(folder, name), async ({ ask }) => {
            return await ask({ ...usualSources, engineTimeoutMs: 3000 });
          }),
        ),
      );

      expect(stopped).toMatchObject({
        ready: false,
        engine: null,
        runtimes: [{ state: 'not_running' }, {}, {}],
      });
      expect(stopped?.reasons.join()).toContain('Nothing listens on its socket');
      expect(hung).toMatchObject({ ready: false, engine: null, runtimes: [{ state: 'not_running' }, {}, {}] });
      expect(hung?.reasons.join()).toContain('did not answer in time');
    } finally {
      hanging.close();
    }
  });

  it('finds a podman service that listens, and tells who may use it (G-191)', async () => {
    const service = await podmanService();
    try {
      await withGate(engineSocket, async ({ policy, gateSocket, ask }) => {
        const sources = { ...usualSources, sockets: { podman: [service.socketPath], nerdctl: [] } };

        const ours = await ask(sources);
        const question = JSON.stringify({ gateSocket, policy, sources, uid: nobody });
        const theirs = JSON.parse((await exec(process.execPath, [printStatus, question], { timeout: 110_000 })).stdout);

        expect(ours.runtimes[1]).toMatchObject({ name: 'podman', state: 'ready', reason: null });
        expect(theirs.runtimes).toMatchObject([
          { name: 'docker', state: 'no_permission', version: null },
          { name: 'podman', state: 'no_permission' },
          {},
        ]);
        expect(theirs).toMatchObject({ ready: false, engine: null });
      });
    } finally {
      await service.stop();
    }
  });
});

describe('the doctor on this host', () => {
  it('passes what is in order here and names what is not', async () => {
    const results = await withGate(engineSocket, ({ diagnose }) => diagnose({}));

    expect(results).toMatchObject({
      'engine.reachable': { status: 'ok' },
      'engine.limits': { status: 'ok' },
      'engine.sandboxes': { status: 'ok' },
      'runtime.approved': { status: 'ok' },
      'host.reserves': { status: 'ok' },
      'host.secrets_dir': { status: 'ok' },
      'host.state_dir': { status: 'ok' },
      'allocation.home': { status: 'ok' },
    });
    const major = Number(/Engine (\d+)/.exec(results['engine.reachable']?.found ?? '')?.[1]);
    expect(results['engine.version']?.status).toBe(major < 28 ? 'warn' : 'ok');
    expect(Object.values(results).filter(({ found }) => found.includes('The check itself failed'))).toEqual([]);
  });

  it('sees a pool that an engine network lies in, and takes a workload network for what it is', async () => {
    const pool = await unusedPool();
    const inPool = (suffix: string) => pool.replace('.0/20', suffix);
    const check = () => withGate(engineSocket, ({ diagnose }) => diagnose({ network_pool: pool }));

    const clear = await check();
    const ours = await withNetwork(inPool('.16/28'), check);
    const strange = await withNetwork(inPool('.0/24'), check);

    expect(clear['network.pool']).toMatchObject({ status: 'ok' });
    expect(ours['network.pool']).toMatchObject({ status: 'ok' });
    expect(strange['network.pool']).toMatchObject({ status: 'warn', found: expect.stringContaining(inPool('.0/24')) });
  });

  it('ends in time, with a result for every check, when the engine hangs (FAULTS 17)', async () => {
    const hanging = createSocketServer(() => undefined).listen(join(folder, 'hung-doctor.sock'));
    try {
      const [results, policy] = await withGate(join(folder, 'hung-doctor.sock'), async (host) => {
        return [await host.diagnose({}, 10_000), host.policy] as const;
      });
      const checks = hostChecks({ policy, stateDir: folder, askEngine: () => Promise.reject(), path: '' });

      expect(results['engine.reachable']?.status).toBe('fail');
      expect(results['host.reserves']?.status).toBe('ok');
      expect(Object.keys(results)).toEqual(checks.map(({ name }) => name));
    } finally {
      hanging.close();
    }
  });
});

interface GateHost {
  readonly policy: HostPolicy;
  readonly gateSocket: string;
  ask(sources: StatusSources): ReturnType<typeof runtimeStatus>;
  diagnose(over: Partial<HostPolicy>, timeoutMs?: number): Promise<Record<string, { status: string; found: string }>>;
}

/** A gate in front of the engine and a client behind it, closed again whatever happens. */
async function withGate<T>(socket: string, work: (host: GateHost) => Promise<T>): Promise<T> {
  const place = mkdtempSync(join(folder, 'gate-'));
  const policy = testPolicy(place);
  const log = createLog({ level: 'silent' });
  const options = { socketPath: join(place, 'gate.sock'), engineSocket: socket, stateDir: join(place, 'gate') };
  const gate = await startGate({ ...options, policy, log });
  const engine = openDockerEngine({ socketPath: gate.socketPath });
  const stacks = openStacks({ socketPath: gate.socketPath, stateDir: join(place, 'state') });
  const signal = AbortSignal.timeout(110_000);
  try {
    return await work({
      policy,
      gateSocket: gate.socketPath,
      ask: (sources) =>
        runtimeStatus(
          {
            ...{ engine, stacks, policy, admission: new Admission({ engine, policy }) },
            ...{ gpus: openGpuLedger({ engine, policy }), jobs: { room: undefined }, log, signal },
          },
          sources,
        ),
      diagnose: async (over, timeoutMs = 60_000) => {
        const stateDir = join(place, 'gate');
        const askEngine = (limit: AbortSignal) => engine.facts(limit);
        const checks = hostChecks({ policy: { ...policy, ...over }, stateDir, askEngine, path: process.env['PATH'] });
        const results = await runChecks(checks, { timeoutMs, signal });
        return Object.fromEntries(results.map((result) => [result.name, result]));
      },
    });
  } finally {
    engine.close();
    await gate.close();
  }
}

function testPolicy(place: string): HostPolicy {
  const home = join(place, 'home');
  mkdirSync(home, { mode: 0o700 });
  return {
    node_id: 'test-node',
    allocation: { id: 'test-probe', uid: process.getuid?.() ?? 0, gid: 0, home },
    ...{ registries: [], local_images: [], project_storage: false, network_pool: '10.213.0.0/20' },
    ...{ approved_engines: ['docker'], sandboxes: { runc: 'runc' }, secrets_dir: '/dev/shm/gpuaas-test-probe' },
    inputs: { dir: '/var/lib/gpuaas-test-probe', max_gib: 1, max_age_hours: 1, allow: [], endpoints: {} },
    reserves: { cpu_cores: 0, memory_gib: 0.1, disk_gib: 0.1 },
    limits: { pids: 512, open_files: 4096 },
  };
}

/** A range that no other test uses, nor any network of this host. */
async function unusedPool(): Promise<string> {
  for (;;) {
    const pool = `10.${randomInt(240, 250)}.${randomInt(16) * 16}.0/20`;
    if (await claim(`pool/${pool}`)) return pool;
  }
}

function noSockets() {
  return { podman: [join(folder, 'no.sock')], nerdctl: [join(folder, 'no.sock')] };
}

/** Hands every call on to the real engine and keeps its method. */
async function recordingEngine() {
  const socket = join(mkdtempSync(join(folder, 'engine-')), 'recorded.sock');
  const methods: string[] = [];
  const server = createServer((incoming, outgoing) => {
    methods.push(incoming.method ?? '');
    const call = request({ socketPath: engineSocket, method: incoming.method, path: incoming.url }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 500, answer.headers);
      answer.pipe(outgoing);
    });
    call.once('error', () => outgoing.destroy());
    incoming.pipe(call);
  }).listen(socket);
  await once(server, 'listening');
  return {
    socket,
    methods,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

/** A real podman service, whose folders are open to all and whose socket is not: what refuses is the socket itself. */
async function podmanService() {
  const place = mkdtempSync(join(folder, 'podman-'));
  const service = await startPodman(place);
  for (const path of [folder, place]) chmodSync(path, 0o755);
  chmodSync(service.socketPath, 0o600);
  return service;
}

async function withNetwork<T>(subnet: string, work: () => Promise<T>): Promise<T> {
  const name = `gpuaas-test-probe-${Math.random().toString(36).slice(2)}`;
  const body = { Name: name, CheckDuplicate: true, IPAM: { Config: [{ Subnet: subnet }] } };
  const created = await engineCall(engineSocket, 'POST', '/networks/create', body);
  expect(created.status).toBe(201);
  try {
    return await work();
  } finally {
    await engineCall(engineSocket, 'DELETE', `/networks/${name}`);
  }
}

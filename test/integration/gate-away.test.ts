/** The gate goes away in the middle of a task and comes back (FAULTS 36); the engine hangs (FAULTS 17). */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { ensureGround } from '../../bootstrap/dev/ground.ts';
import { unpackPackage } from '../../bootstrap/dev/packages.ts';
import { startPrivateEngine } from '../../bootstrap/dev/private-engine.ts';
import { buildWheel, serveIndex } from '../../bootstrap/dev/python-index.ts';
import { ensureRegistry, type PrivateRegistry, startRegistry } from '../../bootstrap/dev/registry.ts';
import type { TaskResult } from '../../src/contract/task-envelope.ts';
import { engineCall } from '../support/engine-call.ts';
import { containerOf, containersNamed, inspectRaw, networksOf, succeeded } from '../support/looking.ts';
import { type LaunchParams, openTestHost, readyAtOnce, type TestHost } from '../support/test-host.ts';
import { pushFreshImage } from './engine-images.ts';
import { dripBlob, onBlob, type RegistryFront, startRegistryFront } from './engine-registry-front.ts';

let host: TestHost;
let folder: string;
let registry: PrivateRegistry;
let front: RegistryFront;
let tiny: string;
const fresh: string[] = [];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'gpuaas-away-'));
  registry = await startRegistry(join(folder, 'registry'));
  front = await startRegistryFront(registry.host);
  const known = (await ensureRegistry()).host;
  host = await openTestHost({
    policy: { registries: [known, front.host].map((name) => ({ host: name, prefixes: [''] })) },
  });
  tiny = await host.image('tiny');
});
afterEach(async () => {
  await host.clear();
  for (const reference of fresh.splice(0)) {
    await engineCall(host.engineSocket, 'DELETE', `/images/${reference}`);
  }
});
afterAll(async () => {
  await host?.close();
  await Promise.all([front?.close(), registry?.stop()]);
  rmSync(folder, { recursive: true, force: true });
});

describe('a gate that is restarted', () => {
  it.each(['creating', 'starting', 'probing'])('while a launch is %s: the launch goes on, once', async (when) => {
    const params = host.launchParams(tiny, {
      command: ['sleep 1; touch /tmp/ok; sleep 100000'],
      readiness: [{ type: 'exec', command: ['/bin/test', '-f', '/tmp/ok'], timeout_seconds: 60 }],
    });
    let restarted: Promise<void> | undefined;

    const result = await host.run('workload.oci_launch', params, {
      onEvent: ({ type, phase }) => {
        if (type === 'phase.entered' && phase === when) {
          restarted ??= host.restartGate();
        }
      },
    });

    await restarted;
    expect(restarted).toBeDefined();
    await expectOnce(result, params);
  });

  it('while layers are downloaded: they are downloaded after all, and the launch goes on, once', async () => {
    const shell = readFileSync(join(await unpackPackage('busybox-static'), 'bin/busybox'));
    const image = await pushFreshImage(registry.host, `fresh/${randomBytes(4).toString('hex')}`, { layers: 2, shell });
    const reference = `${front.host}/${image.repository}@${image.digest}`;
    fresh.push(reference);
    const [layer = ''] = image.layers;
    const { promise: asked, resolve: sawIt } = Promise.withResolvers<void>();
    front.rule = onBlob(layer, (_request, response) => {
      dripBlob(response);
      sawIt();
    });
    const params = host.launchParams(reference, {
      command: ['kill -STOP $$'],
      readiness: [{ type: 'exec', command: ['/bin/sh', '-c', 'true'], timeout_seconds: 60 }],
    });

    const running = host.run('workload.oci_launch', params);
    await Promise.race([asked, running]);
    const restarting = host.restartGate();
    front.rule = undefined;
    await restarting;

    await expectOnce(await running, params);
    const downloads = front.asked.filter((line) => line.endsWith(layer));
    expect(downloads.length).toBeGreaterThanOrEqual(2);
  });

  it('while packages are installed: the installation ends in peace, and the launch goes on, once', async () => {
    const ground = await ensureGround(['python']);
    const wheel = buildWheel('late-arrival', '1.0.0', { modules: { 'late_arrival.py': 'here = True\n' } });
    const { promise: asked, resolve: sawIt } = Promise.withResolvers<void>();
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    const index = await serveIndex([wheel], ground.engine.bridgeAddress, {
      beforeAnswer: async (path) => {
        if (path.endsWith('.whl')) {
          sawIt();
          await released;
        }
      },
    });
    const params = host.launchParams(ground.images.python.reference, {
      entrypoint: ['python', '-c'],
      command: ['import time; time.sleep(100000)'],
      // It does not ask again for what is held back here.
      env: { ...index.env, PIP_DEFAULT_TIMEOUT: '100' },
      python_packages: ['late-arrival==1.0.0'],
      readiness: [{ type: 'exec', command: ['python', '-c', 'import late_arrival'], timeout_seconds: 60 }],
      resources: { gpu_count: 0, cpu_cores: 1, memory_gib: 0.25 },
    });
    try {
      const running = host.run('workload.oci_launch', params);
      await Promise.race([asked, running]);
      await host.restartGate();
      release();

      await expectOnce(await running, params);
      expect(index.requests.filter((line) => line.includes('.whl'))).toHaveLength(1);
    } finally {
      release();
      await index.close();
    }
  });

  it('does not touch what runs, and knows it again by its seal', async () => {
    const params = host.launchParams(tiny, {
      readiness: readyAtOnce,
    });
    succeeded(await host.run('workload.oci_launch', params));
    const before = (await inspectRaw(host, containerOf(params))).State.Pid;

    await host.restartGate();

    expect((await host.engine.inspect(containerOf(params), AbortSignal.timeout(60_000)))?.pid).toBe(before);
  });
});

describe('an engine that hangs', () => {
  it('is engine.timed_out within the deadline of the call, and works again by itself (FAULTS 17)', async () => {
    const engine = await startPrivateEngine(`${host.folder}/engine`);
    const hung = await openTestHost({ engineSocket: engine.socketPath, policy: { network_pool: '10.223.0.0/24' } });
    try {
      await engine.freeze();
      const status = await hung.run('workload.oci_runtime_status', {});
      engine.thaw();
      const ping = await engineCall(engine.socketPath, 'GET', '/_ping');
      const after = await hung.run('workload.oci_runtime_status', {});

      expect(status.output).toMatchObject({ ready: false, engine: null });
      expect(JSON.stringify(status.output)).toMatch(/did not answer in time/);
      expect(after.output).toMatchObject({ engine: { version: expect.stringMatching(/^\d/) } });
      expect(ping.status).toBe(200);
    } finally {
      engine.thaw();
      await hung.close();
      await engine.stop();
    }
  });
});

async function expectOnce(result: TaskResult, params: LaunchParams): Promise<void> {
  const output = succeeded(result);
  expect(output.state).toBe('running');
  expect(await containersNamed(host, containerOf(params))).toEqual([output.adapter.container_id]);
  expect(await networksOf(host, containerOf(params))).toHaveLength(1);
}

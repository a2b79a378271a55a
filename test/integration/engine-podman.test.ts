/**
 * A real podman in the place of the engine: refused by its name, with the reason, before anything is asked of it, and by the seal
 * where it does not say its name. What it makes of our requests is the reason, and "Podman" in docs/operators.md has it.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { ensureEngine } from '../../bootstrap/dev/engine.ts';
import { type PodmanService, startPodman } from '../../bootstrap/dev/podman.ts';
import { ensureRegistry } from '../../bootstrap/dev/registry.ts';
import { failures } from '../../src/contract/failures.ts';
import type { TaskResult } from '../../src/contract/task-envelope.ts';
import type { HostPolicy } from '../../src/policy/host-policy.ts';
import { engineCall } from '../support/engine-call.ts';
import { type PodmanFront, startPodmanFront } from '../support/podman-front.ts';
import { realStack, sleeper } from '../support/real-stack.ts';
import { startNodeAgent } from '../support/run-task-process.ts';
import { type LaunchParams, openTestHost, type TestHost } from '../support/test-host.ts';

const folder = mkdtempSync(join(tmpdir(), 'gpp-'));
let docker: string;
let podman: PodmanService;
let front: PodmanFront;
let host: TestHost;

beforeAll(async () => {
  docker = (await ensureEngine()).socketPath;
  podman = await startPodman(join(folder, 'p'), (await ensureRegistry()).host);
});
afterAll(async () => {
  await podman?.stop();
  rmSync(folder, { recursive: true, force: true });
});
beforeEach(async () => {
  front = await startPodmanFront(join(folder, 'front.sock'), podman.socketPath);
});
afterEach(async () => {
  await host.close();
  await front.close();
});

const hostOn = async (engineSocket: string, policy: Partial<HostPolicy> = {}) => {
  host = await openTestHost({ engineSocket, policy });
  return host;
};
const launched = async () => {
  const mounts: LaunchParams['mounts'] = [{ name: 'data', path: '/data', mode: 'scratch', read_only: true }];
  return await host.run('workload.oci_launch', host.launchParams(await host.image('tiny'), { mounts }));
};
const itIsPodman = /^It is podman \d+\.\d+\.\d+, whose Docker-compatible API drops parts of a request/;
const refused = (reason: unknown): Partial<TaskResult> => ({
  status: 'failed',
  failure: {
    ...{ code: 'engine.unsupported', kind: 'unavailable', retryable: false },
    ...{ message: expect.any(String), hint: failures['engine.unsupported'].hint },
    detail: expect.objectContaining({ reason }),
  },
});

describe('podman at the socket of the engine', () => {
  it.each([
    ['not approved', ['docker']],
    ['approved', ['docker', 'podman']],
    ['the only one approved', ['podman']],
  ] as const)(
    '%s: runs nothing, is told apart at the first call and asked nothing else (G-161)',
    async (_, approved) => {
      await hostOn(front.socketPath, { approved_engines: [...approved] });

      expect(await launched()).toMatchObject(refused(expect.stringMatching(itIsPodman)));
      expect(new Set(front.calls.map(({ method, path }) => `${method} ${path}`))).toEqual(new Set(['GET /version']));
    },
  );

  it('runs no stack either', async () => {
    await hostOn(front.socketPath);
    const stack = realStack(host, { one: sleeper(await host.image('tiny')) });

    expect(await host.run('workload.compose_launch', stack)).toMatchObject(refused(expect.stringMatching(itIsPodman)));
  });

  it('is named by the gate when that starts, and by the doctor, each with the way out', async () => {
    await hostOn(front.socketPath);
    const gate = startNodeAgent(['gate', '--config', host.configFile]);
    onTestFinished(() => void gate.child.kill());
    await gate.saw(/"code":"engine.unsupported","engine":"podman".*"msg":"engine refused"/);
    gate.child.kill();
    const doctor = await startNodeAgent(['doctor', '--json', '--config', host.configFile]).ended;
    const status = await host.run('workload.oci_runtime_status', {});

    expect((await gate.ended).code).toBe(0);
    expect(JSON.parse(doctor.stdout).checks).toContainEqual(
      expect.objectContaining({
        ...{ name: 'engine.reachable', status: 'fail', found: expect.stringContaining('It is podman') },
        fix: failures['engine.unsupported'].hint,
      }),
    );
    expect(status.output).toMatchObject({ ready: false, reasons: [expect.stringContaining('It is podman')] });
  });

  it('gives way to Docker without a restart of the gate, once that answers there', async () => {
    await hostOn(front.socketPath);
    const before = await launched();

    front.target = docker;
    const after = await launched();

    expect([before.failure?.code, after.status]).toEqual(['engine.unsupported', 'succeeded']);
  });
});

it('lets Docker run nothing where host policy approves podman alone (G-161)', async () => {
  await hostOn(docker, { approved_engines: ['podman'] });

  const reason = expect.stringMatching(/^It is docker \d+\..*, and host policy approves only podman\.$/);
  expect(await launched()).toMatchObject(refused(reason));
});

describe('podman that does not say that it is', () => {
  it('runs nothing, for the seal does not hold on what it shows of a container, which is taken away again', async () => {
    front.isDisguised = true;
    await hostOn(front.socketPath);

    const { failure } = await launched();

    expect(failure).toMatchObject({ code: 'engine.failed', detail: { reason: expect.stringContaining('changed') } });
    expect(front.calls.filter(({ path }) => path === '/containers/create')).toMatchObject([{ status: 201 }]);
    expect((await engineCall(podman.socketPath, 'GET', '/containers/json?all=1')).body).toEqual([]);
  });

  it('makes something else of the request, in each way that the documents tell, and says nothing of it', async () => {
    front.isDisguised = true;
    await hostOn(front.socketPath);
    await launched();
    const sent = front.calls.find(({ path }) => path === '/containers/create')?.sent ?? '';
    const asked = JSON.parse(sent) as { HostConfig: Readonly<Record<string, unknown>> };

    const { status, body, shown, own } = await madeByPodman({
      ...asked,
      HostConfig: { ...asked.HostConfig, Runtime: 'no-such-runtime', DeviceRequests: [card] },
    });

    expect({ status, body }).toMatchObject({ status: 201, body: { Warnings: [] } });
    expect(own.OCIRuntime).toMatch(/^(runc|crun)$/);
    expect(asked.HostConfig).toMatchObject({ ...{ CgroupnsMode: 'private', CapDrop: ['ALL'] }, Mounts: [{}] });
    expect(shown.HostConfig).not.toHaveProperty('Mounts');
    expect(shown.HostConfig).toMatchObject({
      ...{ Binds: [expect.stringContaining(':/data:')], NetworkMode: 'bridge', Runtime: 'oci', DeviceRequests: null },
      ...{ CapDrop: expect.arrayContaining(['CHOWN', 'SETUID']), CgroupnsMode: '', PidMode: 'private' },
      LogConfig: { Config: null },
    });
    expect(shown.Config.Env).toContain('container=podman');
    const told = /^## Podman\n.*?(?=\n## )/ms.exec(operators)?.[0] ?? '';
    const named = [
      'Runtime',
      'DeviceRequests',
      'Mounts',
      'NetworkMode',
      'CapDrop',
      'CgroupnsMode',
      'PidMode',
      'LogConfig',
    ];
    for (const name of [...named, 'container=podman']) expect(told).toContain(`\`${name}`);
  });
});

const operators = readFileSync(join(import.meta.dirname, '../../docs/operators.md'), 'utf8');
/** An NVIDIA card that is not there. */
const card = { Driver: 'nvidia', DeviceIDs: ['GPU-none'], Capabilities: [['gpu', 'compute', 'utility']] };

interface Shown {
  readonly Config: { readonly Env: readonly string[] };
  readonly HostConfig: Readonly<Record<string, unknown>>;
}

/** Makes network and container past the gate, and takes both away again. `own` is what podman's other API says. */
async function madeByPodman(request: { readonly HostConfig: Readonly<Record<string, unknown>> }) {
  const ask = <T>(method: string, path: string, sent?: unknown) => engineCall<T>(podman.socketPath, method, path, sent);
  const network = String(request.HostConfig['NetworkMode']);
  await ask('POST', '/v1.41/networks/create', { Name: network });
  const { status, body } = await ask<{ Id: string }>('POST', '/v1.41/containers/create', request);
  const path = `/containers/${body.Id}`;
  const { body: shown } = await ask<Shown>('GET', `/v1.41${path}/json`);
  const { body: own } = await ask<{ OCIRuntime: string }>('GET', `/v4.0.0/libpod${path}/json`);
  await ask('DELETE', `/v1.41${path}?force=1`);
  await ask('DELETE', `/v1.41/networks/${network}`);
  return { status, body, shown, own };
}

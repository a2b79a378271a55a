/** The first product, whole: JupyterLab by digest with its environment, token, package, limits and port. */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { CompactEncrypt, importJWK } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freePort } from '../../bootstrap/dev/free-port.ts';
import { ensureGround } from '../../bootstrap/dev/ground.ts';
import { buildWheel, type PythonIndex, serveIndex } from '../../bootstrap/dev/python-index.ts';
import type { WorkloadOutput } from '../../src/contract/workload-output.ts';
import { containerOf, inspectRaw, succeeded } from '../support/looking.ts';
import { type LaunchParams, openTestHost, type TestHost } from '../support/test-host.ts';

const token = 'canary-4f1d9c07b2e84c6fa1';
const jupyter = '/workspace/.jupyter';
const profile = {
  HOME: '/workspace',
  JUPYTER_RUNTIME_DIR: `${jupyter}/runtime`,
  JUPYTER_CONFIG_DIR: `${jupyter}/config`,
  JUPYTER_DATA_DIR: `${jupyter}/data`,
  JUPYTER_PREFER_ENV_PATH: '0',
  JUPYTERLAB_SETTINGS_DIR: `${jupyter}/lab/user-settings`,
  JUPYTERLAB_WORKSPACES_DIR: `${jupyter}/lab/workspaces`,
};

let host: TestHost;
let index: PythonIndex;
let params: LaunchParams;
let output: WorkloadOutput;
let port: number;
let name: string;

beforeAll(async () => {
  const ground = await ensureGround(['runtime-cpu']);
  host = await openTestHost();
  const wheels = [buildWheel('demo-pandas', '2.2.1', { requires: ['demo-base>=1'] }), buildWheel('demo-base', '1.0')];
  index = await serveIndex(wheels, ground.engine.bridgeAddress);
  port = await freePort();
  const key = await importJWK(host.key.publicJwk, 'ECDH-ES');
  const sealed = await new CompactEncrypt(Buffer.from(token))
    .setProtectedHeader({ alg: 'ECDH-ES', enc: 'A256GCM' })
    .encrypt(key);
  const { entrypoint: _none, command: _neither, ...base } = host.launchParams(ground.images['runtime-cpu'].reference);
  params = {
    ...base,
    env: { ...profile, JUPYTER_TOKEN_FILE: '/run/secrets/jupyter-token', ...index.env },
    sealed_files: { '/run/secrets/jupyter-token': sealed },
    resources: { gpu_count: 0, cpu_cores: 1, memory_gib: 1 },
    mounts: [{ name: 'workspace', path: '/workspace', mode: 'scratch', read_only: false }],
    ports: [{ name: 'web', container_port: 8888, host_port: port, protocol: 'http' }],
    python_packages: ['demo-pandas>=2.2'],
    readiness: [{ type: 'http', endpoint: 'web', path: '/api', timeout_seconds: 90 }],
  };
  name = containerOf(params);
  output = succeeded(await host.run('workload.oci_launch', params));
});
afterAll(async () => {
  await index?.close();
  await host?.close();
});

describe('JupyterLab', () => {
  it('runs and answers on its endpoint, to its token only (G-210)', async () => {
    const url = output.endpoints[0]?.url ?? '';

    expect(url).toBe(`http://127.0.0.1:${port}/`);
    expect((await fetch(`${url}api/status?token=${token}`)).status).toBe(200);
    expect((await fetch(`${url}api/status?token=wrong`)).status).toBe(403);
    expect((await fetch(`${url}lab?token=${token}`)).status).toBe(200);
  });

  it('has the environment of its profile (G-74 … G-81)', async () => {
    const { Config } = await inspectRaw(host, name);

    expect(Config.Env).toEqual(
      expect.arrayContaining(Object.entries(profile).map(([key, value]) => `${key}=${value}`)),
    );
    expect(existsSync(`${workspace()}/.jupyter/runtime`)).toBe(true);
  });

  it('had its packages before it was ready, installed by argument vector into the environment (G-174)', async () => {
    const phases = output.events.filter(({ type }) => type === 'phase.entered').map(({ phase }) => phase);

    expect(phases.indexOf('installing_packages')).toBeLessThan(phases.indexOf('probing'));
    expect(output.adapter.packages_excerpt).toContain('Successfully installed demo-base-1.0 demo-pandas-2.2.1');
    expect(await inPython('import demo_pandas, demo_base; print(demo_pandas.__file__)')).toContain('/opt/venv/');
  });

  it('keeps its work in the home of the allocation user, owned by it; packages are not there', async () => {
    await inPython("open('/workspace/notebook.txt', 'w').write('work')");

    expect(statSync(`${workspace()}/notebook.txt`).uid).toBe(host.policy.allocation.uid);
    expect(readdirSync(workspace(), { recursive: true }).filter((file) => String(file).includes('demo_'))).toEqual([]);
  });

  it('has its limits inside and in its inspect data (G-171)', async () => {
    const { HostConfig } = await inspectRaw(host, name);

    expect(HostConfig).toMatchObject({ NanoCpus: 1e9, Memory: 2 ** 30, MemorySwap: 2 ** 30 });
    expect(
      await inPython(
        "import pathlib; print([p.read_text().strip() for p in map(pathlib.Path, ['/sys/fs/cgroup/memory.max', '/sys/fs/cgroup/memory/memory.limit_in_bytes']) if p.exists()])",
      ),
    ).toContain(String(2 ** 30));
  });

  it('keeps its packages over a restart, and has lost them after a relaunch that does not ask for them', async () => {
    const { identity } = params;
    succeeded(await host.run('workload.oci_control', { identity, action: 'restart', grace_seconds: 5 }));
    expect(await inPython('import demo_pandas; print("there")')).toContain('there');

    const { env, ...rest } = params;
    const relaunch = { ...rest, env: { ...env, RELAUNCHED: '1' }, python_packages: [] };
    succeeded(await host.run('workload.oci_launch', relaunch));

    expect(await inPython('import demo_pandas')).toContain('ModuleNotFoundError');
    expect(await inPython("print(open('/workspace/notebook.txt').read())")).toContain('work');
  });

  it('fails a launch whose package does not exist, with the end of what the installer said, and leaves nothing', async () => {
    const missing = {
      ...params,
      identity: { ...params.identity, app_instance_id: `${params.identity.app_instance_id}-x` },
      ports: [{ name: 'web', container_port: 8888, host_port: await freePort(), protocol: 'http' as const }],
      python_packages: ['no-such-thing==9'],
      resources: { gpu_count: 0, cpu_cores: 0.5, memory_gib: 0.5 },
    };

    const { failure } = await host.run('workload.oci_launch', missing);

    expect(failure).toMatchObject({
      code: 'packages.failed',
      detail: { exit_code: 1, excerpt: expect.stringContaining('No matching distribution') },
    });
    await expect(inspectRaw(host, containerOf(missing))).rejects.toThrow('404');
  });
});

function workspace(): string {
  return `${host.policy.allocation.home}/gpuaas/workloads/${params.identity.app_instance_id}/workspace`;
}

async function inPython(code: string): Promise<string> {
  const { tail } = await host.engine.exec(name, ['python', '-c', code], { signal: AbortSignal.timeout(60_000) });
  return tail;
}

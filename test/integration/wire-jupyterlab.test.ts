/**
 * JupyterLab as an app user has it, from the request to its end: launched over the public API from the seeded profile, with
 * a package, and used as a browser uses it, over HTTP and WebSocket. What run-task shows of it is in jupyterlab.test.ts.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freePort } from '../../bootstrap/dev/free-port.ts';
import { ensureGround } from '../../bootstrap/dev/ground.ts';
import { buildWheel, type PythonIndex, serveIndex } from '../../bootstrap/dev/python-index.ts';
import { parseEvents } from '../../src/cli/gpuaas/event-lines.ts';
import { until } from '../support/daemon-ground.ts';
import { type Kernel, type Notebook, notebookAt, refusalOf } from '../support/notebook.ts';
import { ok, openWire, type Wire } from '../support/wire-ground.ts';

const version = '2026.04-own-index';
const versions = '/api/v1/catalog/apps/jupyterlab/versions';
let wire: Wire;
let index: PythonIndex;
let id: string;
let token: string;
let origin: string;
let notebook: Notebook;
/** Types of the events of the launch, as they came. */
let heard: readonly string[];

beforeAll(async () => {
  const { engine, images } = await ensureGround(['runtime-cpu']);
  wire = await openWire();
  index = await serveIndex([buildWheel('demo-numbers', '1.4.0')], engine.bridgeAddress);
  await publishImage(images['runtime-cpu'].reference);
  await publishVersion();
  await launch();
});
afterAll(async () => {
  await index?.close();
  await wire?.close();
});

async function publishImage(reference: string): Promise<void> {
  const [repository, digest] = reference.split('@');
  const media_type = 'application/vnd.docker.distribution.manifest.v2+json';
  const image = { name: 'runtime-cpu', repository, digest, media_type };
  const artifact = ok(await wire.admin.call('POST', '/api/v1/artifacts', image));
  ok(await wire.admin.call('POST', `/api/v1/artifacts/${artifact.id}/verify`));
  ok(await wire.admin.call('POST', `/api/v1/artifacts/${artifact.id}/promote`, { channel: 'test' }));
}

/** The seeded profile, installing from the index of this test. */
async function publishVersion(): Promise<void> {
  const { manifest } = ok(await wire.admin.call('GET', `${versions}/2026.04-preview`));
  const { execution } = manifest;
  const container_env = { ...execution.container_env, ...index.env };
  const source = JSON.stringify({ ...manifest, execution: { ...execution, container_env } });
  ok(await wire.admin.call('POST', versions, { version, source }));
  ok(await wire.admin.call('POST', `${versions}/${version}/publish`));
}

async function launch(): Promise<void> {
  const launched = ok(
    await wire.member.call('POST', '/api/v1/app-instances', {
      ...{ app_slug: 'jupyterlab', app_version: version, display_name: 'My notebook' },
      placement_intent: { target_allocation_id: wire.allocationId },
      config: { host_port: await freePort(), python_packages: 'demo-numbers>=1.4' },
      resource_overrides: { gpu_count: 0, cpu_cores: 2, memory_gib: 4 },
    }),
  );
  id = launched.id;
  token = launched.credentials[0].token;
  heard = await eventsUntil('apps.instance.running');
  const { endpoints } = await wire.instance(id);
  origin = new URL(endpoints[0].url).origin;
  notebook = notebookAt(origin, token);
}

/** What the stream of events says of the instance, up to an event of this type. */
async function eventsUntil(last: string): Promise<string[]> {
  const ending = new AbortController();
  const headers = { authorization: `Bearer ${wire.member.token}`, 'last-event-id': '0' };
  const answer = await fetch(`${wire.url}/api/v1/events?subject_id=${id}`, { headers, signal: ending.signal });
  const types: string[] = [];
  for await (const { type, data } of parseEvents(answer.body as AsyncIterable<Uint8Array>)) {
    const { phase } = JSON.parse(data).data;
    types.push(phase === undefined ? type : `${type} ${phase}`);
    if (type === last) break;
    if (type === 'apps.instance.failed') throw new Error(data);
  }
  ending.abort();
  return types;
}

async function act(action: string): Promise<void> {
  const { code, stderr } = await wire.member.cli('apps', 'instances', action, id).ended;
  if (code !== 0) throw new Error(stderr);
}

async function inKernel<T>(work: (kernel: Kernel) => Promise<T>): Promise<T> {
  const kernel = await notebook.kernel();
  try {
    return await work(kernel);
  } finally {
    kernel.close();
  }
}

const answers = async () => (await notebook.status('/lab').catch(() => undefined)) === 200;
const workspace = () => join(wire.folder, 'home/gpuaas/workloads', id, 'workspace');

describe('JupyterLab over the wire', () => {
  it('was launched step by step, each heard of in the stream of events, with its package before it was ready', () => {
    const at = (type: string) => heard.indexOf(type);

    expect(heard[0]).toBe('apps.instance.requested');
    expect(at('apps.instance.phase installing_packages')).toBeGreaterThan(at('apps.instance.phase starting'));
    expect(at('apps.instance.phase probing')).toBeGreaterThan(at('apps.instance.phase installing_packages'));
    expect(index.requests).toContain('GET /files/demo_numbers-1.4.0-py3-none-any.whl 200');
  });

  it('opens its page to the token of the launch, and nothing of it without (G-210)', async () => {
    const pages = ['/lab', '/api/status', '/api/contents'];

    const open = await Promise.all(pages.map((page) => notebook.status(page)));
    const closed = await Promise.all(pages.map((page) => notebook.status(page, 'wrong')));

    expect(open).toEqual([200, 200, 200]);
    // A page sends to the login, the API says no.
    expect(closed).toEqual([302, 403, 403]);
    expect(await inKernel(({ channels }) => refusalOf(channels, origin))).toBe(403);
  });

  it('runs code that uses the package, and keeps what it writes in the workspace', async () => {
    const code = "import demo_numbers; open('work.txt', 'w').write('kept'); print(demo_numbers.__version__)";

    const printed = await inKernel((kernel) => kernel.run(code));

    expect(printed).toBe('1.4.0\n');
    expect(readFileSync(join(workspace(), 'work.txt'), 'utf8')).toBe('kept');
    await expect(inKernel((kernel) => kernel.run('1 / 0'))).rejects.toThrow('ZeroDivisionError');
  });

  it('goes on while its host is cut off from the control plane, the running kernel included', async () => {
    await inKernel(async (kernel) => {
      await kernel.run('before = 6');
      wire.proxy.cut();
      await expect(wire.member.call('GET', '/healthz')).rejects.toThrow();

      expect(await kernel.run('print(before * 7)')).toBe('42\n');
      expect(await notebook.status('/lab')).toBe(200);
      wire.proxy.mend();

      await until(
        async () => (await wire.admin.call('GET', `/api/v1/nodes/${wire.nodeId}`)).body.connected,
        'the host',
      );
      expect(await kernel.run('print(before)')).toBe('6\n');
    });
    await wire.reaches(id, 'running');
  });

  it('is not to be reached while it is stopped, and has its work, packages and token when it is started', async () => {
    await act('stop');
    await expect(notebook.status('/lab')).rejects.toThrow();

    await act('start');
    expect(await answers()).toBe(true);

    expect(await inKernel((kernel) => kernel.run("import demo_numbers; print(open('work.txt').read())"))).toBe(
      'kept\n',
    );
  });

  it('has its work and packages after a restart, and its kernels begin anew', async () => {
    await inKernel((kernel) => kernel.run('before = 1'));

    await act('restart');
    expect(await answers()).toBe(true);

    expect(await inKernel((kernel) => kernel.run("import demo_numbers; print(open('work.txt').read())"))).toBe(
      'kept\n',
    );
    await expect(inKernel((kernel) => kernel.run('before'))).rejects.toThrow('NameError');
  });

  it('leaves nothing when it is decommissioned', async () => {
    expect(existsSync(workspace())).toBe(true);

    await act('decommission');

    await expect(notebook.status('/lab')).rejects.toThrow();
    expect(await wire.containers(id)).toEqual([]);
    expect(existsSync(join(workspace(), '..'))).toBe(false);
    expect(await wire.instance(id)).toMatchObject({ state: 'decommissioned', failure: null });
  });
});

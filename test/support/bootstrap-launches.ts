/** Workloads on a host that a bootstrap has made a node, by its control plane: the app `web`, and the notebook of the catalog. */
import { ensureEngine } from '../../bootstrap/dev/engine.ts';
import { ensureImage } from '../../bootstrap/dev/images.ts';
import { ensureRegistry } from '../../bootstrap/dev/registry.ts';
import { jupyterlab } from '../../src/manifests/gpuaas/seeds/jupyterlab.ts';
import type { BootstrapGround } from './bootstrap-ground.ts';
import type { SystemdHost } from './systemd-host.ts';
import { addWebApp } from './wire-app.ts';
import { ok } from './wire-ground.ts';
import { offerImage } from './wire-vllm.ts';

/** Launches `web` on the node that is connected, waits until it runs, and gives its id. It is published on this port of the host. */
export async function launchWeb(host: SystemdHost, ground: BootstrapGround, hostPort: number): Promise<string> {
  const { socketPath } = await ensureEngine();
  const { host: registry } = await ensureRegistry();
  const { reference } = await ensureImage({ socketPath, host: registry }, 'web');
  await addWebApp(async (method, path, body) => ok(await ground.admin.call(method, path, body)), reference);
  return await launch(host, ground, { app_slug: 'web', app_version: '1.0', config: { host_port: hostPort } });
}

/** The same for JupyterLab, on the image that is curated for it. */
export async function launchNotebook(host: SystemdHost, ground: BootstrapGround, hostPort: number): Promise<string> {
  const { socketPath } = await ensureEngine();
  await offerImage(ground.admin, socketPath, 'runtime-cpu', 'runtime-cpu');
  const resource_overrides = { gpu_count: 0, cpu_cores: 2, memory_gib: 4 };
  const app = { app_slug: 'jupyterlab', app_version: jupyterlab.version };
  return await launch(host, ground, { ...app, config: { host_port: hostPort }, resource_overrides });
}

interface Wish {
  readonly app_slug: string;
  readonly app_version: string;
  readonly config: object;
  readonly resource_overrides?: object;
}

async function launch(host: SystemdHost, ground: BootstrapGround, wish: Wish): Promise<string> {
  await host.reach(Number((await ensureRegistry()).host.split(':')[1]));
  const { admin, projectId } = ground;
  const node = (await ground.nodes()).find(({ connected }) => connected);
  const { id } = ok(
    await admin.call('POST', '/api/v1/app-instances', {
      ...{ display_name: wish.app_slug, project_id: projectId, ...wish },
      placement_intent: { target_allocation_id: node?.allocation_id },
    }),
  );
  const state = async () => ok(await admin.call('GET', `/api/v1/app-instances/${id}`)).state;
  await host.waitFor(async () => (await state()) === 'running', wish.app_slug, 180);
  return id;
}

/** A workload on a host that a bootstrap has made a node: the app `web`, by its control plane. */
import { ensureEngine } from '../../bootstrap/dev/engine.ts';
import { ensureImage } from '../../bootstrap/dev/images.ts';
import { ensureRegistry } from '../../bootstrap/dev/registry.ts';
import type { BootstrapGround } from './bootstrap-ground.ts';
import type { SystemdHost } from './systemd-host.ts';
import { addWebApp } from './wire-app.ts';
import { ok } from './wire-ground.ts';

/** Launches it on the node that is connected, waits until it runs, and gives its id. It is published on this port of the host. */
export async function launchWeb(host: SystemdHost, ground: BootstrapGround, hostPort: number): Promise<string> {
  const { socketPath } = await ensureEngine();
  const { host: registry } = await ensureRegistry();
  await host.reach(Number(registry.split(':')[1]));
  const { reference } = await ensureImage({ socketPath, host: registry }, 'web');
  const made = async (method: string, path: string, body?: unknown) => ok(await ground.admin.call(method, path, body));
  await addWebApp(made, reference);
  const node = (await ground.nodes()).find(({ connected }) => connected);
  const { id } = await made('POST', '/api/v1/app-instances', {
    ...{ app_slug: 'web', app_version: '1.0', display_name: 'A page', project_id: ground.projectId },
    placement_intent: { target_allocation_id: node?.allocation_id },
    config: { host_port: hostPort },
  });
  const state = async () => (await made('GET', `/api/v1/app-instances/${id}`)).state;
  await host.waitFor(async () => (await state()) === 'running', 'the workload', 120);
  return id;
}

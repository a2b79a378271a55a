/** The whole wire with JupyterLab in the catalog, for what people do in the console. */

import { ensureEngine } from '../../bootstrap/dev/engine.ts';
import { freePort } from '../../bootstrap/dev/free-port.ts';
import { type SshServer, startSshServer } from './ssh-server.ts';
import { ok, openWire, type Wire } from './wire-ground.ts';
import { offerImage } from './wire-vllm.ts';

export interface NotebookConsole extends Wire {
  readonly ssh: SshServer;
  /** Of the app that can be launched: the seeded profile, whose usual port may be taken on this machine, on a free one. */
  readonly version: string;
  /** Steps of its form, as its manifest has them. */
  steps(): Promise<readonly { readonly title: string; readonly description?: string }[]>;
}

const versions = '/api/v1/catalog/apps/jupyterlab/versions';

/** JupyterLab can be launched on a host without cards, and is reached through a real SSH server. */
export async function openNotebookConsole(): Promise<NotebookConsole> {
  await using undo = new AsyncDisposableStack();
  const ssh = await startSshServer();
  undo.defer(() => ssh.close());
  const wire = await openWire({ allocation: { ssh: ssh.login } });
  undo.defer(() => wire.close());
  await offerImage(wire.admin, (await ensureEngine()).socketPath, 'runtime-cpu', 'runtime-cpu');
  const version = await publishVersion(wire);
  const all = undo.move();
  const path = `${versions}/${version}`;
  const steps = async () => ok(await wire.member.call('GET', path)).manifest.parameters.ui.launch_wizard.steps;
  return { ...wire, ssh, version, steps, close: () => all.disposeAsync() };
}

async function publishVersion({ admin }: Wire): Promise<string> {
  const version = '2026.04-preview.2';
  const { manifest } = ok(await admin.call('GET', `${versions}/2026.04-preview`));
  manifest.parameters.schema.properties.host_port.default = await freePort();
  ok(await admin.call('POST', versions, { version, source: JSON.stringify(manifest) }));
  ok(await admin.call('POST', `${versions}/${version}/publish`));
  return version;
}

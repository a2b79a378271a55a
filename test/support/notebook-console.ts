/** The whole wire with JupyterLab in the catalog, for what people do in the console. */
import { ensureEngine } from '../../bootstrap/dev/engine.ts';
import { freePort } from '../../bootstrap/dev/free-port.ts';
import { type SshServer, startSshServer } from './ssh-server.ts';
import { ok, openWire, type Wire } from './wire-ground.ts';
import { offerImage } from './wire-vllm.ts';

export interface OfferedNotebook {
  /** Of the app that can be launched: the seeded profile, whose usual port may be taken on this machine, on a free one. */
  readonly version: string;
  /** Steps of its form, as its manifest has them. */
  steps(): Promise<readonly { readonly title: string; readonly description?: string }[]>;
}

export interface NotebookConsole extends Wire, OfferedNotebook {
  readonly ssh: SshServer;
}

const versions = '/api/v1/catalog/apps/jupyterlab/versions';

/** JupyterLab can be launched on a host without cards, and is reached through a real SSH server. */
export async function openNotebookConsole(): Promise<NotebookConsole> {
  await using undo = new AsyncDisposableStack();
  const ssh = await startSshServer();
  undo.defer(() => ssh.close());
  const wire = await openWire({ allocation: { ssh: ssh.login } });
  undo.defer(() => wire.close());
  const notebook = await offerNotebook(wire);
  const all = undo.move();
  return { ...wire, ...notebook, ssh, close: () => all.disposeAsync() };
}

/** Puts image and version into the catalog. */
export async function offerNotebook({ admin, member }: Wire): Promise<OfferedNotebook> {
  await offerImage(admin, (await ensureEngine()).socketPath, 'runtime-cpu', 'runtime-cpu');
  const version = '2026.04-preview.2';
  const path = `${versions}/${version}`;
  const { manifest } = ok(await admin.call('GET', `${versions}/2026.04-preview`));
  manifest.parameters.schema.properties.host_port.default = await freePort();
  ok(await admin.call('POST', versions, { version, source: JSON.stringify(manifest) }));
  ok(await admin.call('POST', `${path}/publish`));
  const steps = async () => ok(await member.call('GET', path)).manifest.parameters.ui.launch_wizard.steps;
  return { version, steps };
}

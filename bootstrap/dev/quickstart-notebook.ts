/**
 * JupyterLab on the allocation of quickstart, through the public API.
 *
 * A notebook of an earlier quickstart that fits is adopted. One of another image, or whose token nobody knows any more, is
 * taken away and launched anew at the same port: the control plane shows a token once, in the answer to the launch. What
 * somebody else has launched beside it is left alone.
 */
import { freePort } from './free-port.ts';
import { say } from './progress.ts';
import { helloPackage } from './quickstart-packages.ts';
import { forgetNotebookToken, type Login, readNotebookToken, writeNotebookToken } from './quickstart-place.ts';
import { gpuaas, itemsOf, type Tenancy } from './quickstart-platform.ts';
import { sizesOf } from './quickstart-sizes.ts';

interface Notebook {
  readonly id: string;
  readonly display_name: string;
  readonly state: string;
  readonly config: { readonly host_port: number };
  readonly artifact_id: string;
  readonly access: readonly { readonly tunnel: string | null }[];
}

interface Launched extends Notebook {
  readonly credentials: readonly { readonly token: string }[];
}

export interface RunningNotebook {
  readonly id: string;
  readonly port: number;
  readonly token: string;
  readonly tunnel: string | null;
}

interface Wanted extends Tenancy {
  readonly artifactId: string;
  /** Of the app; of a notebook that is adopted it may be another. */
  readonly version: string;
}

const usualPort = 8888;
const ownName = 'JupyterLab of quickstart';

/** Resolves when it runs. */
export async function ensureNotebook(login: Login, wanted: Wanted): Promise<RunningNotebook> {
  const [before, ...earlier] = (await notebooksOf(login, wanted.allocationId)).filter(isOwn);
  for (const { id } of earlier) await decommission(login, id);
  const adopted = before && (await adopt(login, before, wanted));
  if (adopted) return adopted;
  if (before) {
    say('The notebook of an earlier quickstart fits no more, or its token is lost: it is replaced.');
    await decommission(login, before.id);
  }
  return await launch(login, wanted, before?.config.host_port);
}

function isOwn({ id, display_name }: Notebook): boolean {
  return display_name === ownName || readNotebookToken(id) !== undefined;
}

async function decommission(login: Login, id: string): Promise<void> {
  await instances(login, 'decommission', id);
  forgetNotebookToken(id);
}

/** Those that are not gone, newest first. */
async function notebooksOf(login: Login, allocationId: string): Promise<Notebook[]> {
  const all = await itemsOf<Notebook & { allocation_id: string }>(login, 'apps', 'instances');
  return all.filter(({ allocation_id }) => allocation_id === allocationId).reverse();
}

/** Undefined where it does not fit, or does not come to life again. */
async function adopt(login: Login, notebook: Notebook, { artifactId }: Wanted): Promise<RunningNotebook | undefined> {
  const token = readNotebookToken(notebook.id);
  if (token === undefined || notebook.artifact_id !== artifactId) return undefined;
  const alive = notebook.state === 'stopped' ? await instances<Notebook>(login, 'start', notebook.id) : notebook;
  return alive.state === 'running' ? { ...whereabouts(alive), token } : undefined;
}

async function launch(login: Login, wanted: Wanted, port = usualPort): Promise<RunningNotebook> {
  const { projectId, allocationId, artifactId, version } = wanted;
  const place = ['--project', projectId, '--allocation', allocationId, '--artifact', artifactId, '--name', ownName];
  const { cores, gib } = sizesOf().notebook;
  const size = ['--gpus', '0', '--cpus', `${cores}`, '--memory', `${gib}`];
  const access = ['--set', `host_port=${await freePort(port)}`];
  const packages = ['--set', `python_packages=${helloPackage}`];
  const launched = await instances<Launched>(
    login,
    'launch',
    `jupyterlab@${version}`,
    ...place,
    ...size,
    ...access,
    ...packages,
  );
  const token = launched.credentials[0]?.token;
  if (launched.state !== 'running' || token === undefined) throw new Error(`JupyterLab is ${launched.state}.`);
  writeNotebookToken(launched.id, token);
  return { ...whereabouts(launched), token };
}

function whereabouts({ id, config, access }: Notebook) {
  return { id, port: config.host_port, tunnel: access[0]?.tunnel ?? null };
}

async function instances<T = unknown>(login: Login, ...words: readonly string[]): Promise<T> {
  return await gpuaas<T>(login, ['apps', 'instances', ...words]);
}

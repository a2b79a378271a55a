/**
 * The Python package of quickstart: an index of this host's own, and the version of JupyterLab that installs from it.
 *
 * Where packages come from is the profile's to say, never a launch's, so an operator who has an index of its own publishes
 * a version of the app that names it. The index stays there: what is launched later, or anew, installs from it as well. That
 * version also starts with less than the curated one, so that a small host has room for more.
 */
import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { envOfIndex } from './python-index.ts';
import { ensureDaemon, portOf } from './quickstart-daemons.ts';
import { type Login, place } from './quickstart-place.ts';
import { answers, gpuaas, itemsOf } from './quickstart-platform.ts';
import { leastOfNotebook } from './quickstart-sizes.ts';

const usualPort = 8081;

/** Single package that a launch asks for. */
export const helloPackage = 'quickstart-hello==1.0.0';

/** Makes sure that the index answers and that there is a version of JupyterLab that installs from it: its name. */
export async function ensureAppVersion(login: Login, bridgeAddress: string): Promise<string> {
  const port = await portOf('package-index', usualPort, bridgeAddress);
  const env = envOfIndex(bridgeAddress, port);
  await ensureDaemon({
    ...{ name: 'package-index', program: 'package-index', args: [bridgeAddress, `${port}`], port },
    user: place.users.packageIndex,
    isReady: () => answers(env.PIP_INDEX_URL),
  });
  return await ensureVersion(login, env);
}

/** A version of the curated profile with this environment that needs less; another index is another one, since none ever changes. */
async function ensureVersion(login: Login, env: Readonly<Record<string, string>>): Promise<string> {
  const hash = createHash('sha256').update(JSON.stringify({ env, least })).digest('hex').slice(0, 8);
  const version = `2026.04-quickstart.${hash}`;
  const apps = await itemsOf<{ slug: string; versions: { version: string; status: string }[] }>(login, 'apps');
  const known = apps.find(({ slug }) => slug === 'jupyterlab')?.versions.find((each) => each.version === version);
  if (known === undefined) {
    const file = join(place.folder, 'jupyterlab.json');
    writeFileSync(file, JSON.stringify(await manifestWith(login, env), null, 2));
    await gpuaas(login, ['apps', 'versions', 'add', `jupyterlab@${version}`, file]);
  }
  if (known?.status !== 'published') await gpuaas(login, ['apps', 'versions', 'publish', `jupyterlab@${version}`]);
  return version;
}

const least = { cpu: { min_cores: leastOfNotebook.cores }, memory: { min_gib: leastOfNotebook.gib } };

interface Manifest {
  readonly resources: object;
  readonly execution: { readonly container_env: Readonly<Record<string, string>> };
}

async function manifestWith(login: Login, env: Readonly<Record<string, string>>): Promise<Manifest> {
  const { manifest } = await gpuaas<{ manifest: Manifest }>(login, ['apps', 'show', 'jupyterlab@2026.04-preview']);
  const { resources, execution } = manifest;
  const container_env = { ...execution.container_env, ...env };
  return { ...manifest, resources: { ...resources, ...least }, execution: { ...execution, container_env } };
}

/**
 * Makes an image of one more layer: a script runs as root in a container of the base image, on the host's network, and
 * what it changed is committed. The container is removed also on failure.
 */
import { copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { containerLog, removeContainer, startContainer, waitContainer } from './containers.ts';
import { askEngine } from './engine-api.ts';
import { aptAccess } from './images/debian.ts';
import type { LayerRecipe } from './images/recipe.ts';
import { cacheDir } from './state.ts';

const SCRIPT_SECONDS = 1200;

/** Runs the recipe's script on the base image and gives the id of the image that came out. */
export async function commitLayer(
  socketPath: string,
  baseImageId: string,
  recipe: LayerRecipe,
  changes: readonly string[],
): Promise<string> {
  await mkdir(cacheDir(), { recursive: true });
  const work = await mkdtemp(join(cacheDir(), `${recipe.name}-layer-`));
  const name = `gpuaas-dev-${recipe.name}-${crypto.randomUUID().slice(0, 8)}`;
  try {
    const own = (file: string) => join(import.meta.dirname, 'images', file);
    await copyFile(own(recipe.script), join(work, 'install.sh'));
    for (const file of recipe.files ?? []) await copyFile(own(file), join(work, file));
    await writeFile(join(work, 'apt.conf'), await aptAccess());
    // Environment, labels and volumes set here would stay in the image: nothing is set but what `changes` undoes.
    await startContainer(socketPath, name, {
      Image: baseImageId,
      User: '0:0',
      WorkingDir: '/',
      Cmd: ['/bin/sh', '/mnt/install.sh'],
      HostConfig: { NetworkMode: 'host', Binds: [`${work}:/mnt:ro`] },
    });
    const code = await waitContainer(socketPath, name, SCRIPT_SECONDS);
    if (code !== 0)
      throw new Error(`${recipe.script} ended with ${code}:\n${await containerLog(socketPath, name, 40)}`);
    return await commit(socketPath, name, changes);
  } finally {
    await removeContainer(socketPath, name);
    await rm(work, { recursive: true, force: true });
  }
}

async function commit(socketPath: string, name: string, changes: readonly string[]): Promise<string> {
  const query = new URLSearchParams({ container: name, pause: '0' });
  for (const change of changes) query.append('changes', change);
  const made = await askEngine<{ Id: string }>({ socketPath, method: 'POST', path: `/commit?${query}` });
  return made.Id;
}

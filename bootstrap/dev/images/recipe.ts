/** What an image recipe is: a root folder to fill, or a base image to install on, and the settings of the image. */
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** The images of the development ground. */
export type ImageName =
  | ('tiny' | 'hostile' | 'healthy' | 'web' | 'python' | 'runtime-cpu' | 'openai')
  | 'host-ubuntu-24.04'
  | `host-debian-${12 | 13}`
  | `host-debian-${12 | 13}-engine`;

interface RecipeCommon {
  readonly name: ImageName;
  /** Files beside the recipes that decide what comes out; their content is the cache key. */
  readonly sources: readonly string[];
  /** Image settings in the engine's `changes` form (`ENV …`, `CMD …`), set when the image is made. */
  readonly changes: readonly string[];
}

/** An image of one layer, imported from a folder. */
export interface RootRecipe extends RecipeCommon {
  readonly kind: 'root';
  /** Fills the empty folder `root`. */
  readonly fill: (root: string) => Promise<void>;
}

/** One more layer over another image, made by a script that runs in it as root on the host's network. */
export interface LayerRecipe extends RecipeCommon {
  readonly kind: 'layer';
  readonly base: ImageName;
  /** POSIX shell script beside the recipes. */
  readonly script: string;
  /** Files beside the recipes that the script finds in `/mnt`. */
  readonly files?: readonly string[];
}

export type Recipe = RootRecipe | LayerRecipe;

/** Makes folders in a root folder with exactly this mode, whatever the umask. */
export async function placeFolders(root: string, paths: readonly string[], mode = 0o755): Promise<void> {
  for (const path of paths) {
    await mkdir(join(root, path), { recursive: true });
    await chmod(join(root, path), mode);
  }
}

/** Writes a file into a root folder with exactly this mode, whatever the umask. */
export async function place(root: string, path: string, content: string, mode = 0o644): Promise<void> {
  const target = join(root, path);
  await writeFile(target, content);
  await chmod(target, mode);
}

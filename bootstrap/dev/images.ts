/**
 * The images of the development ground, each made once and then found again.
 *
 * The key of an image is the content of its recipe. Engine and registry are two copies: when one has lost the image it
 * comes back from the other, and only when both have lost it is it made again.
 */
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { callEngine } from './engine-api.ts';
import { healthy } from './images/healthy.ts';
import { hostile } from './images/hostile.ts';
import { openai } from './images/openai.ts';
import { python } from './images/python.ts';
import { type ImageName, placeFolders, type Recipe, type RootRecipe } from './images/recipe.ts';
import { runtimeCpu } from './images/runtime-cpu.ts';
import { host12, host12Engine, host13, host13Engine } from './images/systemd-host.ts';
import { tiny } from './images/tiny.ts';
import { hostUbuntu } from './images/ubuntu-host.ts';
import { web } from './images/web.ts';
import { commitLayer } from './layer.ts';
import { step } from './progress.ts';
import {
  imageIdOf,
  type PublishedImage,
  type PublishTarget,
  publishedAs,
  publishRoot,
  pullImage,
  pushImage,
  registryHas,
} from './publish.ts';
import { cacheDir, readRecord, withLock, writeRecord } from './state.ts';

const recipes: { readonly [N in ImageName]: Recipe } = {
  tiny,
  hostile,
  healthy,
  web,
  python,
  'runtime-cpu': runtimeCpu,
  openai,
  'host-debian-13': host13,
  'host-debian-13-engine': host13Engine,
  'host-debian-12': host12,
  'host-debian-12-engine': host12Engine,
  'host-ubuntu-24.04': hostUbuntu,
};

/** Every image, but the one that needs another archive than Debian's: whoever wants it asks for it. */
export const imageNames: readonly ImageName[] = (Object.keys(recipes) as ImageName[]).filter(
  (name) => name !== 'host-ubuntu-24.04',
);

/** True for the name of an image. */
export function isImageName(name: string): name is ImageName {
  return Object.hasOwn(recipes, name);
}

/** Those that stand for a host, which few need and which take longest. */
export const hostImages = imageNames.filter((name) => name.startsWith('host-'));

/** Label that every image of the ground carries, with the key of its recipe. */
export const RECIPE_LABEL = 'dev.gpuaas.recipe';

/** The engine and the registry that an image shall be in. */
export interface ImageGround {
  readonly socketPath: string;
  readonly host: string;
}

interface ImageRecord {
  readonly key: string;
  readonly digest: string;
  readonly image_id: string;
}

/** Makes sure that the image is in the engine and in the registry. Idempotent; milliseconds when it is. */
export async function ensureImage(ground: ImageGround, name: ImageName): Promise<PublishedImage> {
  const key = await keyOf(name);
  return (
    (await present(ground, name, key)) ?? (await withLock(`image-${name}`, () => restoreOrMake(ground, name, key)))
  );
}

async function restoreOrMake(ground: ImageGround, name: ImageName, key: string): Promise<PublishedImage> {
  return (
    (await present(ground, name, key)) ??
    (await restore(ground, name, key)) ??
    (await recall(ground, name, key)) ??
    (await make(ground, name, key))
  );
}

/** The registry knows by its tag what was made of a recipe, also when another checkout has another one since. */
async function recall(ground: ImageGround, name: ImageName, key: string): Promise<PublishedImage | undefined> {
  const found = await publishedAs(targetOf(ground, name, key));
  if (found === undefined) return undefined;
  await remember(name, key, found);
  return await restore(ground, name, key);
}

async function present(ground: ImageGround, name: ImageName, key: string): Promise<PublishedImage | undefined> {
  const known = await knownImage(ground, name, key);
  if (known === undefined) return undefined;
  const [imageId, published] = await whereabouts(ground, name, known);
  return imageId === known.image_id && published ? known : undefined;
}

async function restore(ground: ImageGround, name: ImageName, key: string): Promise<PublishedImage | undefined> {
  const known = await knownImage(ground, name, key);
  if (known === undefined) return undefined;
  const [, published] = await whereabouts(ground, name, known);
  if (published) await step(`pulling ${known.reference}`, () => pullImage(ground.socketPath, known.reference));
  else if ((await imageIdOf(ground.socketPath, known.image_id)) === undefined) return undefined;
  else await remember(name, key, await pushImage(targetOf(ground, name, key), known.image_id));
  return await present(ground, name, key);
}

async function make(ground: ImageGround, name: ImageName, key: string): Promise<PublishedImage> {
  const recipe = recipes[name];
  const base = recipe.kind === 'layer' ? await ensureImage(ground, recipe.base) : undefined;
  const target = targetOf(ground, name, key);
  const changes = [...recipe.changes, `LABEL ${RECIPE_LABEL}=${key}`];
  return await step(`making image ${name}`, async () => {
    const image =
      recipe.kind === 'root'
        ? await publishFilledRoot(target, recipe, changes)
        : await pushImage(target, await commitLayer(ground.socketPath, base?.image_id ?? '', recipe, changes));
    await forget(ground, name);
    await remember(name, key, image);
    return image;
  });
}

/** Takes what an older recipe made out of the engine, unless a container still uses it. */
async function forget(ground: ImageGround, name: ImageName): Promise<void> {
  const older = await readRecord<ImageRecord>(recordPath(name));
  if (older === undefined) return;
  const path = `/images/${ground.host}/${repositoryOf(name)}:${older.key}`;
  await callEngine({ socketPath: ground.socketPath, method: 'DELETE', path });
}

async function publishFilledRoot(target: PublishTarget, recipe: RootRecipe, changes: readonly string[]) {
  await mkdir(cacheDir(), { recursive: true });
  const work = await mkdtemp(join(cacheDir(), `${recipe.name}-root-`));
  try {
    const root = join(work, 'root');
    await placeFolders(work, ['root']);
    await recipe.fill(root);
    return await publishRoot(target, root, changes);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

async function whereabouts(ground: ImageGround, name: ImageName, known: PublishedImage) {
  return await Promise.all([
    imageIdOf(ground.socketPath, known.reference),
    registryHas(ground.host, repositoryOf(name), known.digest),
  ]);
}

async function knownImage(ground: ImageGround, name: ImageName, key: string): Promise<PublishedImage | undefined> {
  const record = await readRecord<ImageRecord>(recordPath(name));
  if (record === undefined || record.key !== key) return undefined;
  const { digest, image_id } = record;
  return { reference: `${ground.host}/${repositoryOf(name)}@${digest}`, digest, image_id };
}

async function remember(name: ImageName, key: string, image: PublishedImage): Promise<void> {
  await writeRecord(recordPath(name), { key, digest: image.digest, image_id: image.image_id } satisfies ImageRecord);
}

/** sha256 over the recipe's files and, for a layer, over the key of what it stands on. */
async function keyOf(name: ImageName): Promise<string> {
  const recipe = recipes[name];
  const hash = createHash('sha256');
  for (const source of recipe.sources) hash.update(await readFile(join(import.meta.dirname, 'images', source)));
  if (recipe.kind === 'layer') hash.update(await keyOf(recipe.base));
  return hash.digest('hex').slice(0, 16);
}

function targetOf(ground: ImageGround, name: ImageName, key: string): PublishTarget {
  return { ...ground, repository: repositoryOf(name), tag: key };
}

const repositoryOf = (name: ImageName) => `gpuaas-dev/${name}`;
const recordPath = (name: ImageName) => join(cacheDir(), 'images', `${name}.json`);

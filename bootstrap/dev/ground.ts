/**
 * The ground that quickstart and the tests stand on: an engine, a registry, images published by digest, Compose, and a browser.
 *
 * Everything here may be called again and by several processes at once; when all is there it costs milliseconds.
 * A caller that needs one image asks for that one and does not wait for the others.
 *
 *   sh bootstrap/dev/with-node.sh bootstrap/dev/ground.ts          prints the ground as one JSON line
 *   sh bootstrap/dev/with-node.sh bootstrap/dev/ground.ts tiny     the same with only the images named
 *   sh bootstrap/dev/with-node.sh bootstrap/dev/ground.ts --no-hosts   all but the images of hosts with systemd; prints nothing
 */
import { rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { ensureBrowser } from './browser.ts';
import { ensureCompose } from './compose.ts';
import { ENGINE_SOCKET, ensureEngine, isOurEngine, stopEngine } from './engine.ts';
import { answersPing, askEngine, callEngine } from './engine-api.ts';
import { removeIfEmpty } from './engine-traces.ts';
import type { ImageName } from './images/recipe.ts';
import { ensureImage, hostImages, imageNames, isImageName, RECIPE_LABEL } from './images.ts';
import { installedByUs, purgePackages } from './packages.ts';
import { emptyEngine, unmountBelow } from './private-engine.ts';
import { step } from './progress.ts';
import type { PublishedImage } from './publish.ts';
import { bridgeGateway } from './python-index.ts';
import { ensureRegistry, ownRegistryHost, stopRegistry } from './registry.ts';
import { ensureSquashfsTools } from './squashfs.ts';
import { cacheDir, stateDir } from './state.ts';

/** What everything else needs of the engine and the registry. */
export interface GroundBase {
  readonly engine: {
    readonly socketPath: string;
    /** The host's address on the engine's default bridge: where containers find what a test serves. */
    readonly bridgeAddress: string;
  };
  readonly registry: { readonly host: string };
}

/** The ground with these images. */
export interface GroundWith<N extends ImageName> extends GroundBase {
  readonly images: { readonly [I in N]: PublishedImage };
}

/** The whole ground. */
export interface Ground extends GroundWith<ImageName> {
  readonly images: GroundWith<ImageName>['images'] & { readonly runtimeCpu: PublishedImage };
  /** Folder of `docker-compose`, see {@link ensureCompose}. */
  readonly compose: string;
  /** Program of the browser, see {@link ensureBrowser}. */
  readonly browser: string;
}

/** Makes sure that the engine, the registry, every image, Compose and the browser are there. */
export async function ensureGround(): Promise<Ground>;
/** The same with only the images named: nobody waits for an image that he does not use. */
export async function ensureGround<N extends ImageName>(names: readonly N[]): Promise<GroundWith<N>>;
export async function ensureGround(names?: readonly ImageName[]): Promise<Ground | GroundWith<ImageName>> {
  const base = await ensureBase();
  if (names !== undefined) return { ...base, images: await imagesOn(base, names) };
  const [images, programs] = await Promise.all([imagesOn(base, imageNames), ensurePrograms()]);
  return { ...base, images: { ...images, runtimeCpu: images['runtime-cpu'] }, ...programs };
}

async function imagesOn(base: GroundBase, names: readonly ImageName[]): Promise<GroundWith<ImageName>['images']> {
  const found = await Promise.all(names.map(async (name) => [name, await imageOn(base, name)] as const));
  return Object.fromEntries(found) as GroundWith<ImageName>['images'];
}

/** Compose first: meanwhile the images get the few packages that they are made with, which the browser's would keep waiting. */
async function ensurePrograms(): Promise<Pick<Ground, 'compose' | 'browser'>> {
  const compose = await ensureCompose();
  await ensureSquashfsTools();
  return { compose, browser: await ensureBrowser() };
}

/** Makes sure that the engine and the registry run. */
export async function ensureBase(): Promise<GroundBase> {
  const { socketPath } = await ensureEngine();
  const [{ host }, bridgeAddress] = await Promise.all([ensureRegistry(), bridgeGateway(socketPath)]);
  return { engine: { socketPath, bridgeAddress }, registry: { host } };
}

/** Makes sure that the engine, the registry and this one image are there. */
export async function groundImage(name: ImageName): Promise<PublishedImage> {
  return await imageOn(await ensureBase(), name);
}

/**
 * Takes the ground away: registry, images, engine, folders. An engine that was there before stays, without our images;
 * so do a lent registry and what other grounds have in the engine. With `purge` the packages that were installed go too.
 * Gives one line for each thing that is left.
 */
export async function tearDown(options: { readonly purge: boolean }): Promise<{ readonly kept: readonly string[] }> {
  const kept: string[] = [];
  await stopRegistry();
  if (await isOurEngine()) {
    await step('removing all containers', () => emptyEngine(ENGINE_SOCKET));
    await stopEngine();
  } else if (await answersPing(ENGINE_SOCKET)) {
    await step('removing our images', () => removeImages(ENGINE_SOCKET));
    kept.push('the container engine, which was not started from here');
    const others = await imagesOfGrounds(ENGINE_SOCKET);
    if (others.length > 0) kept.push(`${others.length} images that another development ground made`);
  }
  const packages = options.purge ? await purgePackages() : await installedByUs();
  const why = options.purge ? 'others need them' : '--purge removes them';
  if (packages.length > 0) kept.push(`system packages (${why}): ${packages.join(' ')}`);
  for (const folder of [cacheDir(), stateDir()]) {
    await unmountBelow(folder);
    await rm(folder, { recursive: true, force: true });
  }
  if (process.env['GPUAAS_DEV_CACHE'] === undefined) await removeIfEmpty(dirname(cacheDir()));
  return { kept };
}

async function imageOn(base: GroundBase, name: ImageName): Promise<PublishedImage> {
  return await ensureImage({ socketPath: base.engine.socketPath, host: base.registry.host }, name);
}

/** An image that another ground's registry names too only loses our names. */
async function removeImages(socketPath: string): Promise<void> {
  const host = await ownRegistryHost();
  if (host === undefined) return;
  for (const { RepoTags, RepoDigests } of await imagesOfGrounds(socketPath)) {
    for (const name of [...(RepoTags ?? []), ...(RepoDigests ?? [])].filter((name) => name.startsWith(`${host}/`))) {
      await callEngine({ socketPath, method: 'DELETE', path: `/images/${name}?force=1` });
    }
  }
}

interface NamedImage {
  readonly RepoTags: readonly string[] | null;
  readonly RepoDigests: readonly string[] | null;
}

async function imagesOfGrounds(socketPath: string): Promise<NamedImage[]> {
  const filters = JSON.stringify({ label: [RECIPE_LABEL] });
  return await askEngine({ socketPath, method: 'GET', path: `/images/json?${new URLSearchParams({ filters })}` });
}

async function main(names: readonly string[]): Promise<void> {
  if (names[0] === '--no-hosts') {
    const others = imageNames.filter((name) => !hostImages.includes(name));
    await ensureBase();
    await Promise.all([ensureGround(others), ensurePrograms()]);
    return;
  }
  const unknown = names.find((name) => !isImageName(name));
  if (unknown !== undefined) throw new Error(`There is no image ${unknown}. There are: ${imageNames.join(', ')}.`);
  const ground = names.length === 0 ? await ensureGround() : await ensureGround(names as ImageName[]);
  process.stdout.write(`${JSON.stringify(ground)}\n`);
}

if (import.meta.main) await main(process.argv.slice(2));

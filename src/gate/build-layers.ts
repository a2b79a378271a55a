/**
 * What builds leave on the engine beside the images they were for: layers of those that failed, were given up or ran out of time, stages
 * that no image is made of, and containers of an engine that was killed.
 *
 * All of it has our labels, or stands on what has them; images of gates that wrote none are known by their records. A layer goes when
 * nothing else stands on it: no image that is kept, nothing that somebody has named, no container.
 */
import { buildLabels } from '../contract/names.ts';
import { cpuPeriod } from './build-image.ts';
import type { BuiltImage } from './built-images.ts';
import type { GateContext } from './context.ts';
import type { ContainerObject, Labels } from './engine-objects.ts';
import { readAnswer, readList } from './upstream.ts';
import { engineFailure } from './volumes.ts';

interface ListedImage {
  readonly Id: string;
  readonly ParentId?: string;
  readonly RepoTags?: readonly string[] | null;
  readonly RepoDigests?: readonly string[] | null;
  readonly Labels?: Labels | null;
  /** Seconds since 1970. */
  readonly Created: number;
  readonly Size: number;
}

interface Layer extends Pick<ListedImage, 'Id' | 'Created' | 'Size'> {
  /** Empty for what is made of nothing, and for what came from elsewhere. */
  readonly ParentId: string;
  readonly isNamed: boolean;
  /** Project that it was built for, as its labels say. */
  readonly labelled: string | undefined;
}

export interface ListedContainer {
  readonly Id: string;
  readonly ImageID: string;
  readonly Labels?: Labels | null;
}

export interface RemovedLayers {
  readonly layers: number;
  /** On the disk, before. */
  readonly bytes: number;
  /** Images of which there is a container: that of a build which is just ending, or somebody else's. */
  readonly held: readonly string[];
}

export interface UnusedLayers {
  /** True for a project whose layers may go. */
  readonly of: (project: string) => boolean;
  /** Made by then, in seconds since 1970; whenever, if absent. */
  readonly until?: number | undefined;
  /** Records that are given up: their images go, also without a label, and keep nothing. */
  readonly given?: readonly BuiltImage[];
}

/** Bytes on the disk. */
export interface LayersLook {
  /** Of each image that was built here, of what nothing else stands on: at least so much goes with it. */
  readonly own: ReadonlyMap<string, number>;
  /** Of what `removeUnused` would take away now, of all projects that nothing is being built for: at least so much. */
  readonly unused: number;
}

/** Containers are those of the engine, all of them. */
export async function lookAtLayers(
  containers: Promise<readonly ListedContainer[]>,
  gate: GateContext,
  signal: AbortSignal,
): Promise<LayersLook> {
  const layers = await listLayers(gate, signal);
  const wish = { of: (project: string) => !gate.builds.isBuilding(project) };
  const { bytes } = await takeUnused(unusedOf(wish, layers, await containers, gate), layers, async () => true);
  return { own: ownBytes(layers, gate), unused: bytes };
}

function ownBytes(layers: ReadonlyMap<string, Layer>, gate: GateContext): ReadonlyMap<string, number> {
  const images = gate.builtImages.all().map(({ image }) => image);
  const standing = standingOn(layers, images);
  const bytesOf = (image: string) => {
    let bytes = 0;
    for (let at = layers.get(image); at && !at.isNamed && standing.get(at.Id) === 1; at = layers.get(at.ParentId)) {
      bytes += sizeOn(at, layers.get(at.ParentId));
    }
    return bytes;
  };
  return new Map(images.map((image) => [image, bytesOf(image)]));
}

/** How many layers stand on each, and how many of `images` are it. */
function standingOn(layers: ReadonlyMap<string, Layer>, images: readonly string[]): Map<string, number> {
  const standing = new Map<string, number>();
  for (const id of [...[...layers.values()].map(({ ParentId }) => ParentId), ...images]) {
    standing.set(id, (standing.get(id) ?? 0) + 1);
  }
  return standing;
}

/** Bytes that it has beyond the one that it stands on. */
function sizeOn({ Size }: Layer, below: Layer | undefined): number {
  return Math.max(0, Size - (below?.Size ?? 0));
}

/** What the engine still has a use for stays. */
export async function removeUnused(wish: UnusedLayers, gate: GateContext, signal: AbortSignal): Promise<RemovedLayers> {
  const layers = await listLayers(gate, signal);
  const ownerOf = ownersOf(layers);
  await removeStopped(wish.of, (id) => ownerOf(layers.get(id)), gate, signal);
  const containers = await listContainers({}, gate, signal);
  const unused = unusedOf(wish, layers, containers, gate);
  const taken = await takeUnused(unused, layers, async ({ Id }) => await remove(`/images/${Id}`, gate, signal));
  const held = [...new Set(containers.map(({ ImageID }) => ImageID))].filter((id) => {
    const layer = layers.get(id);
    return layer && unused.isMeant(layer);
  });
  return { ...taken, held };
}

interface Unused {
  /** How many stand on each. */
  readonly standing: Map<string, number>;
  /** Whether it may go where nothing stands on it. */
  readonly isMeant: (layer: Layer) => boolean;
}

function unusedOf(
  { of: isWanted, until = Number.POSITIVE_INFINITY, given = [] }: UnusedLayers,
  layers: ReadonlyMap<string, Layer>,
  containers: readonly ListedContainer[],
  gate: GateContext,
): Unused {
  const ownerOf = ownersOf(layers);
  const recorded = recordedOf(given, layers, ownerOf);
  const isGiven = ({ project, key }: BuiltImage) => given.some((one) => one.project === project && one.key === key);
  const kept = gate.builtImages.all().filter((record) => !isGiven(record));
  const standing = standingOn(layers, [...containers.map(({ ImageID }) => ImageID), ...kept.map(({ image }) => image)]);

  const isMeant = (layer: Layer) => {
    if (layer.Created > until || layer.isNamed) return false;
    const project = ownerOf(layer);
    return project === undefined ? recorded.has(layer.Id) : isWanted(project);
  };
  return { standing, isMeant };
}

/** Takes one after the other; what is not taken stays, and so does what it stands on. */
async function takeUnused(
  { standing, isMeant }: Unused,
  layers: ReadonlyMap<string, Layer>,
  take: (layer: Layer) => Promise<boolean>,
): Promise<Omit<RemovedLayers, 'held'>> {
  const isFree = (layer: Layer) => (standing.get(layer.Id) ?? 0) === 0 && isMeant(layer);
  let [count, bytes] = [0, 0];
  for (const leaf of [...layers.values()].filter(isFree)) {
    // Downwards, as far as nothing else stands on it.
    for (let layer: Layer | undefined = leaf; layer && isFree(layer); ) {
      if (!(await take(layer))) break;
      const below = layers.get(layer.ParentId);
      count += 1;
      bytes += sizeOn(layer, below);
      standing.set(layer.ParentId, (standing.get(layer.ParentId) ?? 0) - 1);
      layer = below;
    }
  }
  return { layers: count, bytes };
}

/**
 * Containers of builds whose engine has ended before it could take them away. An engine gives each container the labels of its image, and
 * those are its author's: so they are known by what only the builder makes when it is asked by us.
 */
async function removeStopped(
  isWanted: (project: string) => boolean,
  ownerOf: (image: string) => string | undefined,
  gate: GateContext,
  signal: AbortSignal,
): Promise<void> {
  const filters = JSON.stringify({ status: ['created', 'exited', 'dead'] });
  for (const { Id, ImageID, Labels } of await listContainers({ filters }, gate, signal)) {
    // That of the first step has its labels before there is a layer.
    const project = ownerOf(ImageID) ?? projectIn(Labels, gate);
    if (project === undefined || !isWanted(project)) continue;
    const answer = await gate.engine.ask({ method: 'GET', path: `/containers/${Id}/json`, signal });
    if (answer.status === 404) continue;
    if (answer.status !== 200) throw engineFailure(answer);
    if (!isOfBuild(JSON.parse(answer.body.toString()) as ContainerObject)) continue;
    await remove(`/containers/${Id}`, gate, signal);
  }
}

/** Nothing that it writes is kept, it has limits as we ask for, and nobody has named it: an engine calls it by two words or its id. */
function isOfBuild({ Name, HostConfig }: ContainerObject): boolean {
  const { LogConfig, Memory = 0, CpuPeriod, CpuQuota = 0 } = HostConfig;
  const isBounded = Memory > 0 && CpuPeriod === cpuPeriod && CpuQuota > 0;
  return LogConfig?.Type === 'none' && isBounded && /^\/(?:[a-z]+_[a-z]+\d?|[0-9a-f]{12})$/.test(Name);
}

/**
 * By layer, the project that it was built for: by its first layer that says so, as what comes behind is the author's. What has a name
 * may be from elsewhere, so its labels say nothing.
 */
function ownersOf(layers: ReadonlyMap<string, Layer>) {
  const known = new Map<string, string | undefined>();
  const ownerOf = (layer: Layer | undefined): string | undefined => {
    const unknown: Layer[] = [];
    for (let at = layer; at && !known.has(at.Id); at = layers.get(at.ParentId)) unknown.push(at);
    for (const { Id, ParentId, isNamed, labelled } of unknown.reverse()) {
      known.set(Id, known.get(ParentId) ?? (isNamed ? undefined : labelled));
    }
    return layer && known.get(layer.Id);
  };
  return ownerOf;
}

/** Images of these records that have no label, with what they were made of one by one: what came from elsewhere has nothing below it. */
function recordedOf(
  records: readonly BuiltImage[],
  layers: ReadonlyMap<string, Layer>,
  ownerOf: (layer: Layer) => string | undefined,
): ReadonlySet<string> {
  const recorded = new Set<string>();
  for (const { image } of records) {
    for (let layer = layers.get(image); layer && !layer.isNamed; layer = layers.get(layer.ParentId)) {
      const isMadeHere = layer.Id === image || layer.ParentId !== '';
      if (isMadeHere && ownerOf(layer) === undefined) recorded.add(layer.Id);
    }
  }
  return recorded;
}

function projectIn(carried: Labels | null | undefined, { policy }: GateContext): string | undefined {
  const { [buildLabels.allocation]: allocation, [buildLabels.project]: project } = carried ?? {};
  return allocation === policy.allocation.id ? project : undefined;
}

/** All that the engine has. Each has all labels of its image, so that together they may be large: they are read one by one. */
async function listLayers(gate: GateContext, signal: AbortSignal): Promise<ReadonlyMap<string, Layer>> {
  const incoming = await gate.engine.stream({ method: 'GET', path: '/images/json', query: { all: '1' }, signal });
  if (incoming.statusCode !== 200) throw engineFailure(await readAnswer(incoming, signal));
  const layers = new Map<string, Layer>();
  for await (const listed of readList(incoming, signal)) {
    const { Id, ParentId = '', RepoTags, RepoDigests, Labels, Created, Size } = listed as ListedImage;
    const isNamed = [...(RepoTags ?? []), ...(RepoDigests ?? [])].some((name) => !name.startsWith('<none>'));
    layers.set(Id, { Id, ParentId, isNamed, labelled: projectIn(Labels, gate), Created, Size });
  }
  return layers;
}

export async function listContainers(
  query: Readonly<Record<string, string>>,
  gate: GateContext,
  signal: AbortSignal,
): Promise<ListedContainer[]> {
  const path = '/containers/json';
  const answer = await gate.engine.ask({ method: 'GET', path, query: { all: '1', ...query }, signal });
  if (answer.status !== 200) throw engineFailure(answer);
  return JSON.parse(answer.body.toString()) as ListedContainer[];
}

/** False where the engine keeps it. Of an image what it stands on stays: the engine does not know what is kept. */
async function remove(path: string, gate: GateContext, signal: AbortSignal): Promise<boolean> {
  const query = path.startsWith('/images/') ? { noprune: '1' } : { v: '1' };
  const answer = await gate.engine.ask({ method: 'DELETE', path, query, signal });
  if (answer.status === 409) return false;
  if (![200, 204, 404].includes(answer.status)) throw engineFailure(answer);
  return true;
}

/**
 * What builds leave on the engine beside the images they were for: layers of those that failed, were given up or ran out of time, stages
 * that no image is made of, and containers of an engine that was killed.
 *
 * All of it has our labels, or stands on what has them. A layer goes when nothing else stands on it: no image that is kept, nothing that
 * somebody has named, no container.
 */
import { buildLabels, labels } from '../contract/names.ts';
import type { GateContext } from './context.ts';
import type { Labels } from './engine-objects.ts';
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

interface ListedContainer {
  readonly Id: string;
  readonly ImageID: string;
  readonly State: string;
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
}

/** What the engine still has a use for stays. */
export async function removeUnused(
  { of: isWanted, until = Number.POSITIVE_INFINITY }: UnusedLayers,
  gate: GateContext,
  signal: AbortSignal,
): Promise<RemovedLayers> {
  await removeStopped(isWanted, gate, signal);
  const images = await list<ListedImage>('/images/json', {}, gate, signal);
  const byId = new Map(images.map((image) => [image.Id, image]));
  const standing = new Map<string, number>();
  const stands = (id: string, by: number) => standing.set(id, (standing.get(id) ?? 0) + by);
  for (const { ParentId = '' } of images) stands(ParentId, 1);
  const containers = await list<ListedContainer>('/containers/json', {}, gate, signal);
  for (const { ImageID } of containers) stands(ImageID, 1);
  for (const { image } of gate.builtImages.all()) stands(image, 1);

  const projectOf = ownersOf(byId, gate.policy.allocation.id);
  const isMeant = (image: ListedImage) => {
    if (image.Created > until || isNamed(image)) return false;
    const project = projectOf(image);
    return project !== undefined && isWanted(project);
  };
  const isFree = (image: ListedImage) => (standing.get(image.Id) ?? 0) === 0 && isMeant(image);
  let [layers, bytes] = [0, 0];
  for (const leaf of images.filter(isFree)) {
    // Downwards, as far as nothing else stands on it.
    for (let image: ListedImage | undefined = leaf; image && isFree(image); ) {
      if (!(await remove(`/images/${image.Id}`, gate, signal))) break;
      const below = byId.get(image.ParentId ?? '');
      layers += 1;
      bytes += Math.max(0, image.Size - (below?.Size ?? 0));
      stands(image.ParentId ?? '', -1);
      image = below;
    }
  }
  const held = images.filter((image) => containers.some(({ ImageID }) => ImageID === image.Id) && isMeant(image));
  return { layers, bytes, held: held.map(({ Id }) => Id) };
}

/** Of builds whose engine has ended before it could: of jobs and their like we have the instance, and others are not ours. */
async function removeStopped(
  isWanted: (project: string) => boolean,
  gate: GateContext,
  signal: AbortSignal,
): Promise<void> {
  const label = [`${buildLabels.allocation}=${gate.policy.allocation.id}`];
  const filters = { filters: JSON.stringify({ label, status: ['created', 'exited', 'dead'] }) };
  for (const { Id, Labels = {} } of await list<ListedContainer>('/containers/json', filters, gate, signal)) {
    const { [labels.instance]: instance, [buildLabels.project]: project = '' } = Labels ?? {};
    if (instance === undefined && isWanted(project)) await remove(`/containers/${Id}`, gate, signal);
  }
}

/** By image, the project that it was built for: by its first layer that says so, as what comes behind is the author's. */
function ownersOf(byId: ReadonlyMap<string, ListedImage>, allocation: string) {
  const known = new Map<string, string | undefined>();
  const ownerOf = (image: ListedImage): string | undefined => {
    if (!known.has(image.Id)) {
      const below = byId.get(image.ParentId ?? '');
      const { [buildLabels.allocation]: of, [buildLabels.project]: project } = image.Labels ?? {};
      known.set(image.Id, (below && ownerOf(below)) ?? (of === allocation ? project : undefined));
    }
    return known.get(image.Id);
  };
  return ownerOf;
}

function isNamed({ RepoTags, RepoDigests }: ListedImage): boolean {
  return [...(RepoTags ?? []), ...(RepoDigests ?? [])].some((name) => !name.startsWith('<none>'));
}

async function list<T>(
  path: string,
  query: Readonly<Record<string, string>>,
  gate: GateContext,
  signal: AbortSignal,
): Promise<T[]> {
  const answer = await gate.engine.ask({ method: 'GET', path, query: { all: '1', ...query }, signal });
  if (answer.status !== 200) throw engineFailure(answer);
  return JSON.parse(answer.body.toString()) as T[];
}

/** False where the engine keeps it. Of an image what it stands on stays: the engine does not know what is kept. */
async function remove(path: string, gate: GateContext, signal: AbortSignal): Promise<boolean> {
  const query = path.startsWith('/images/') ? { noprune: '1' } : { v: '1' };
  const answer = await gate.engine.ask({ method: 'DELETE', path, query, signal });
  if (answer.status === 409) return false;
  if (![200, 204, 404].includes(answer.status)) throw engineFailure(answer);
  return true;
}

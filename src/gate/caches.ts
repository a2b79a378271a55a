/**
 * Caches of jobs: volumes that belong to a revision of a project in this allocation, and go with none of its jobs.
 *
 *   none ──(create)──▶ there, filled by the engine with what the image has, where that is wanted
 *   there ──(create)──▶ there, as it was left
 *   there ──(emptied)──▶ there, empty: the image is not asked again
 *   there ──(removed, wiped)──▶ none
 *
 * An engine fills an empty volume whenever a container is made with it, unless it is told not to. So it is told, but for the very
 * first container. Whether there was one is on the disk before the client has its answer, and nothing starts before that.
 */
import { AgentError } from '../contract/failures.ts';
import { jobKind, labels } from '../contract/names.ts';
import { cacheKind, cachesOf, readCaches } from '../policy/caches.ts';
import { sendJson } from './answers.ts';
import type { CacheRecord } from './cache-records.ts';
import { type GateCall, type GateContext, ownDeadlineMs } from './context.ts';
import type { Labels, MountObject, VolumeObject } from './engine-objects.ts';
import { holdersOf, useOf } from './holders.ts';
import { engineMessage } from './sealed-containers.ts';
import type { EngineAnswer } from './upstream.ts';
import { engineFailure, ensureVolume, namedVolumes, ourVolumes, removeFromEngine } from './volumes.ts';

interface WithCaches {
  readonly Labels: Labels;
  readonly HostConfig: { readonly Mounts: readonly MountObject[] };
}

/** Makes a container whose caches are there; `make` gets the request with each of them told whether to be filled. */
export async function withCaches<R extends WithCaches>(
  request: R,
  gate: GateContext,
  make: (request: R) => Promise<EngineAnswer>,
): Promise<EngineAnswer> {
  const has = new Set(namedVolumes(request.HostConfig.Mounts).map(({ name }) => name));
  const caches = (cachesOf(request.Labels) ?? []).filter(({ volume }) => has.has(volume));
  if (caches.length === 0) return await make(request);
  const locks = caches.map(({ volume }) => cacheLock(volume));
  return await inTurn(locks.sort(), gate, async () => {
    // Not the client's signal: it may go away, but a container that was begun is finished and checked. Nor is time lost in the queue.
    const signal = AbortSignal.timeout(ownDeadlineMs);
    for (const { volume, name, class: kind } of caches) {
      if (!gate.caches.of(volume)) {
        const had = (await findVolume(volume, gate, signal)) !== undefined;
        gate.caches.put({ [volume]: { had, used_at: now(), bytes: null } });
      }
      const belongs = [labels.project, labels.allocation, labels.revision].map((of) => [of, request.Labels[of] ?? '']);
      const owner = { ...Object.fromEntries(belongs), [labels.kind]: cacheKind, [labels.caches]: `${name}:${kind}` };
      await ensureVolume(volume, owner, gate, signal);
    }
    const filled = caches.filter(({ volume, seed_from_image: seed }) => seed && !gate.caches.of(volume)?.had);
    const asIs = new Set(caches.filter((cache) => !filled.includes(cache)).map(({ volume }) => volume));
    const Mounts = request.HostConfig.Mounts.map((mount) =>
      asIs.has(mount.Source ?? '') ? { ...mount, VolumeOptions: { NoCopy: true } } : mount,
    );
    const answer = await make({ ...request, HostConfig: { ...request.HostConfig, Mounts } });
    if (answer.status === 201) noteUse(caches, gate);
    return answer;
  });
}

/** One at a time makes and removes a cache: what is removed is not being filled. */
function cacheLock(volume: string): string {
  return `cache ${volume}`;
}

/** Holds all of them; sorted, so that no two wait for each other. */
async function inTurn<T>(locks: readonly string[], gate: GateContext, work: () => Promise<T>): Promise<T> {
  const [first, ...rest] = locks;
  return first === undefined ? await work() : await gate.locks.run(first, () => inTurn(rest, gate, work));
}

export type UsedCache = Pick<CacheRecord, 'max_bytes'> & { readonly volume: string };

/** To be called when a container that has them was made or started. */
export function noteUse(caches: readonly UsedCache[], gate: GateContext): void {
  if (caches.length === 0) return;
  const used = { had: true, used_at: now(), bytes: null };
  const noted = caches.map(({ volume, max_bytes: most }) => {
    const { bytes, last_bytes: before } = gate.caches.of(volume) ?? {};
    const last = bytes ?? before;
    const amounts = { ...(most !== undefined && { max_bytes: most }), ...(last !== undefined && { last_bytes: last }) };
    return [volume, { ...used, ...amounts }];
  });
  gate.caches.put(Object.fromEntries(noted));
}

function now(): string {
  return new Date().toISOString();
}

/** With `measure`, their sizes are asked of the engine, which looks at every file: nothing that somebody waits for should. */
export async function listCaches(call: GateCall, gate: GateContext): Promise<void> {
  const { signal } = call;
  const isAsked = call.query['measure'] !== undefined;
  const measured = isAsked
    ? await gate.locks.run('measure', async () => await measure(gate, signal), signal)
    : undefined;
  const { holders } = await volumesInUse(gate, signal);
  const caches = (await cacheVolumes(gate, signal)).map(({ Name, Labels: of }) => {
    const [cache] = readCaches(of?.[labels.caches]) ?? [];
    const {
      used_at = null,
      bytes: rested = null,
      last_bytes: last = null,
      max_bytes = null,
    } = gate.caches.of(Name) ?? {};
    const bytes = measured?.caches.get(Name) ?? rested;
    return {
      ...{ volume: Name, name: cache?.name ?? '', class: cache?.class ?? 'data' },
      ...{ project_id: of?.[labels.project] ?? '', revision_sha256: of?.[labels.revision] ?? '' },
      ...{ used_at, bytes, last_bytes: bytes ?? last, max_bytes, ...useOf(Name, holders) },
    };
  });
  sendJson(call.response, 200, { caches, ...(measured && { jobs: Object.fromEntries(measured.jobs) }) });
}

/** Who has each volume that a container with caches has, and the names of those that one has which may be at work. */
async function volumesInUse(gate: GateContext, signal: AbortSignal) {
  const query = { all: '1', filters: JSON.stringify({ label: [labels.caches] }) };
  const answer = await gate.engine.ask({ method: 'GET', path: '/containers/json', query, signal });
  if (answer.status !== 200) throw engineFailure(answer);
  const containers = JSON.parse(answer.body.toString()) as readonly ListedContainer[];
  const namesOf = ({ Mounts }: ListedContainer) => (Mounts ?? []).flatMap(({ Name }) => Name ?? []);
  const atWork = containers.filter(({ State }) => !['created', 'exited', 'dead'].includes(State));
  return { holders: holdersOf(containers, namesOf), atWork: new Set(atWork.flatMap(namesOf)) };
}

interface ListedContainer {
  readonly State: string;
  readonly Labels?: Labels | null;
  readonly Mounts?: readonly { readonly Name?: string }[] | null;
}

async function cacheVolumes(gate: GateContext, signal: AbortSignal): Promise<VolumeObject[]> {
  const wanted = JSON.stringify({ label: [`${labels.kind}=${cacheKind}`] });
  return await ourVolumes(gate, signal, wanted);
}

interface DiskUse {
  readonly Volumes?: readonly (VolumeObject & { readonly UsageData?: { readonly Size?: number } | null })[] | null;
}

interface Measured {
  /** Bytes of each cache now, by its volume. */
  readonly caches: ReadonlyMap<string, number>;
  /** Bytes that each job has in volumes of its own and has written in its containers, by its id. */
  readonly jobs: ReadonlyMap<string, number>;
}

/**
 * One at a time: engines refuse a second question of this kind. What a cache holds is noted as what it has where nobody had it at work
 * meanwhile, and else as what it was last found to have.
 */
async function measure(gate: GateContext, signal: AbortSignal): Promise<Measured> {
  signal.throwIfAborted();
  const { atWork } = await volumesInUse(gate, signal);
  const before = gate.caches.all();
  const answer = await gate.engine.ask({ method: 'GET', path: '/system/df', query: { type: 'volume' }, signal });
  if (answer.status !== 200) throw engineFailure(answer);
  const volumes = (JSON.parse(answer.body.toString()) as DiskUse).Volumes ?? [];
  const sized = volumes.flatMap((volume) => {
    const bytes = volume.UsageData?.Size ?? -1;
    return bytes >= 0 ? [{ volume, bytes }] : [];
  });
  const sizes = new Map(sized.flatMap(({ volume: { Name }, bytes }) => (before[Name] ? [[Name, bytes] as const] : [])));
  const noted = [...sizes].flatMap(([name, bytes]) => {
    const record = gate.caches.of(name);
    if (!record) return [];
    const hasRested = record === before[name] && !atWork.has(name);
    return [[name, { ...record, ...(hasRested ? { bytes } : { last_bytes: bytes }) }] as const];
  });
  if (noted.length > 0) gate.caches.put(Object.fromEntries(noted));
  return { caches: sizes, jobs: await writtenByJobs(sized, gate, signal) };
}

async function writtenByJobs(
  sized: readonly { readonly volume: VolumeObject; readonly bytes: number }[],
  gate: GateContext,
  signal: AbortSignal,
): Promise<Measured['jobs']> {
  const jobs = new Map<string, number>();
  const add = (job: string | undefined, bytes: number) => {
    if (job !== undefined) jobs.set(job, (jobs.get(job) ?? 0) + bytes);
  };
  for (const { volume, bytes } of sized) {
    const isOfJob = volume.Labels?.[labels.kind] === jobKind && gate.seals.holdsForVolume(volume);
    if (isOfJob) add(volume.Labels?.[labels.instance], bytes);
  }
  for (const { Labels, SizeRw = 0 } of await jobContainers(gate, signal)) add(Labels?.[labels.instance], SizeRw);
  return jobs;
}

interface WrittenContainer {
  readonly Labels?: Labels | null;
  /** Bytes beyond those of its image; absent where it has written none. */
  readonly SizeRw?: number;
}

async function jobContainers(gate: GateContext, signal: AbortSignal): Promise<readonly WrittenContainer[]> {
  const filters = JSON.stringify({ label: [labels.seal, `${labels.kind}=${jobKind}`] });
  const query = { all: '1', size: '1', filters };
  const answer = await gate.engine.ask({ method: 'GET', path: '/containers/json', query, signal });
  if (answer.status !== 200) throw engineFailure(answer);
  return JSON.parse(answer.body.toString()) as readonly WrittenContainer[];
}

/** The engine refuses one that a container has, whether it runs or not: `engine.failed`. With `empty` it is there again, empty. */
export async function removeCache(call: GateCall, gate: GateContext): Promise<void> {
  const name = call.params['cache'] ?? '';
  const answer = await gate.locks.run(cacheLock(name), async () => {
    call.signal.throwIfAborted();
    const signal = AbortSignal.timeout(ownDeadlineMs);
    const volume = await findVolume(name, gate, signal);
    if (volume === undefined || !gate.seals.holdsForVolume(volume)) {
      throw new AgentError('container.not_found', { volume: name, reason: `There is no cache ${name}.` });
    }
    const removed = await removeFromEngine(name, gate);
    if (removed.status !== 204) return removed;
    if (call.query['empty'] === undefined) gate.caches.drop(name);
    else {
      gate.caches.put({ [name]: { used_at: now(), ...gate.caches.of(name), had: true, bytes: 0 } });
      const { [labels.seal]: _seal, [labels.generation]: _generation, ...owner } = volume.Labels ?? {};
      await ensureVolume(name, owner, gate, signal);
    }
    return removed;
  });
  if (answer.status === 409) throw new AgentError('cache.in_use', { cache: name, reason: engineMessage(answer) });
  if (answer.status !== 204) throw engineFailure(answer);
  sendJson(call.response, 200, {});
}

async function findVolume(name: string, gate: GateContext, signal: AbortSignal): Promise<VolumeObject | undefined> {
  const answer = await gate.engine.ask({ method: 'GET', path: `/volumes/${name}`, signal });
  if (answer.status === 404) return undefined;
  if (answer.status !== 200) throw engineFailure(answer);
  return JSON.parse(answer.body.toString()) as VolumeObject;
}

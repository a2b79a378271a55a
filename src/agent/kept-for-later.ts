/**
 * What this host keeps of projects for their next jobs: caches, and images that it has built. What nobody has used for the longest
 * goes first, where the engine's disk gets short, and what is older than the operator wants. Before all of it go layers of builds that
 * no image is made of: they make the next build quicker, and no more.
 *
 * Never what a container has, nor what belongs to a revision that a job of this host is of: between two of its containers
 * nothing else would hold it. Shared services that no job uses any more are no such container: they are ended for what they have, when that
 * has its turn.
 */
import { createHash } from 'node:crypto';
import { AgentError } from '../contract/failures.ts';
import type { KeptItem } from '../contract/kept-items.ts';
import type { RecordBody } from '../contract/records.ts';
import type { KeptJob } from '../jobs/job-record.ts';
import type { Clock } from '../kit/clock.ts';
import type { Log } from '../kit/log.ts';
import { KeyedMutex } from '../kit/mutex.ts';
import { unlessAborted } from '../kit/unless-aborted.ts';
import type { BuiltSummary, CacheSummary, ContainerEngine, HostBuilds } from '../runtime/engine.ts';
import { type DiskLook, keyOfThing, lastBytes, neededBy, sumOf } from './promised-disk.ts';

export type KeptThing = (({ readonly kind: 'cache' } & CacheSummary) | ({ readonly kind: 'image' } & BuiltSummary)) & {
  /** Services that no job uses, and nothing else, have it: it is not in use. They are ended before it goes. */
  readonly idle?: { readonly groups: readonly string[]; readonly sinceMs: number };
};

/** Groups of services that jobs share. */
export interface SharedServices {
  /** Milliseconds since 1970 at which the last job left it; undefined where it is to stay, and for what is no group. */
  readonly idleSince: (id: string) => number | undefined;
  readonly giveWay: (id: string) => Promise<'ended' | 'gone' | 'in_use'>;
}

/** What may go, that of the longest ago first. `needed`: revisions of projects that stay. */
export function leastRecentlyUsed(kept: readonly KeptThing[], needed: ReadonlySet<string>): KeptThing[] {
  return kept
    .filter((each) => !each.in_use && !needed.has(keyOfThing(each)))
    .sort((one, other) => usedMs(one) - usedMs(other));
}

/** Bytes that would be free once all that may go is gone. */
export function roomIn(
  { kept, unusedBytes }: Pick<DiskLook, 'kept' | 'unusedBytes'>,
  needed: ReadonlySet<string>,
): number {
  return unusedBytes + sumOf(leastRecentlyUsed(kept, needed).map(roomOf));
}

/** Bytes that would go with it: of a cache what it was last found to have, of an image what nothing else has of it. */
export function roomOf(each: KeptThing): number {
  return (each.kind === 'cache' ? lastBytes(each) : each.own_bytes) ?? 0;
}

/** Milliseconds since 1970; of what nobody remembers, 0. What idle services have was last used when a job last used them. */
function usedMs({ used_at, idle }: Pick<KeptThing, 'used_at' | 'idle'>): number {
  return Math.max(used_at === null ? 0 : Date.parse(used_at), idle?.sinceMs ?? 0);
}

export interface KeptForLaterOptions {
  readonly engine: Pick<
    ContainerEngine,
    'caches' | 'measureDisk' | 'removeCache' | 'builds' | 'removeBuilt' | 'removeLayers'
  >;
  readonly jobs: { all(): readonly Pick<KeptJob, 'plan' | 'record'>[] };
  readonly services: SharedServices;
  /** After its last use; undefined: however long. */
  readonly maxAgeHours: number | undefined;
  readonly clock: Clock;
  readonly log: Log;
  readonly report: (event: RecordBody<'event'>) => void;
  /** Called after something was taken away, or a size became known. */
  readonly onChange: () => void;
}

export interface RoomWanted {
  /** Bytes that are missing; 0 and less: there is enough. */
  readonly missing: () => Promise<number>;
  readonly reason: 'disk_short' | 'wanted';
  /** Revisions of whoever asks, which stay. */
  readonly own?: ReadonlySet<string>;
  /** True where nothing is to go as soon as all that may would be too little. */
  readonly isAllOrNothing?: boolean;
  /** Bytes that anything has on the disk: all that may go has no more, whatever it is said to have. A file of holes is said to have its length. */
  readonly used?: () => Promise<number>;
  /** Once it is aborted, nothing more goes. */
  readonly signal?: AbortSignal;
}

type Reason = RoomWanted['reason'] | 'too_old' | 'operator';

const hourMs = 3_600_000;
const patienceMs = 300_000;
const settleMs = 1000;

export class KeptForLater {
  readonly #options: KeptForLaterOptions;
  readonly #turns = new KeyedMutex();
  /** Caches whose size the engine does not know. */
  #sizeless: ReadonlySet<string> = new Set();
  /** What idle services had when all was last measured, each as of when these became idle: they are at work with it, so it has never rested. */
  #measured: ReadonlySet<string> = new Set();
  /** Of layers that no image is made of, when that was last looked at. */
  #unusedBytes = 0;

  constructor(options: KeptForLaterOptions) {
    this.#options = options;
  }

  /**
   * Takes away one after the other until nothing is missing, or nothing is left that may go. One at a time: who comes meanwhile may
   * find that enough is gone.
   */
  async makeRoom(wanted: RoomWanted): Promise<void> {
    const { missing, signal } = wanted;
    const isOver = async () => signal?.aborted || (await missing()) <= 0;
    await this.#turns.run(
      'room',
      async () => {
        if (!(await isOver())) await this.#makeRoom(wanted, isOver);
      },
      signal,
    );
  }

  async #makeRoom(wanted: RoomWanted, isOver: () => Promise<boolean>): Promise<void> {
    const { clock } = this.#options;
    const { missing, reason, own = new Set(), isAllOrNothing = false, signal } = wanted;
    const used = wanted.used ?? (async () => Number.POSITIVE_INFINITY);
    // Some file systems give room back a moment later: without waiting for it, more would go than has to.
    const settle = async (before: number, bytes: number) => {
      if (before - (await missing()) < bytes / 2) await clock.pause(settleMs, signal).catch(() => undefined);
    };
    const atFirst = await missing();
    const removed = await this.#tryRemoveLayers(reason);
    if (removed) {
      await settle(atFirst, removed.bytes);
      if (await isOver()) return;
    }
    const free = async (measure: boolean) => {
      const needed = own.union(neededBy(this.#options.jobs.all()));
      return leastRecentlyUsed(await this.#all({ measure, signal }), needed);
    };
    let left = await free(false);
    // Where measuring takes too long, nothing waits for it.
    if (left.some((each) => (each.idle ? lastBytes(each) : each.bytes) === null))
      left = await free(true).catch(() => left);
    // The largest of those that together are said to have more than there is gives least of it: it goes first, and others not in vain.
    if (sumOf(left.map(roomOf)) > (await used())) left = left.toSorted((one, other) => roomOf(other) - roomOf(one));
    for (const [at, each] of left.entries()) {
      const before = await missing();
      if (isAllOrNothing && Math.min(sumOf(left.slice(at).map(roomOf)), await used()) < before) return;
      // Nobody's services are ended for nothing.
      if (each.idle && roomOf(each) === 0) continue;
      if (!(await this.#tryRemove(each, reason))) continue;
      await settle(before, roomOf(each));
      if (await isOver()) return;
    }
  }

  /** With `measure` as it is now; without, caches by what they were last found to hold, and nothing of jobs. */
  async look({ measure, signal }: { readonly measure: boolean; readonly signal?: AbortSignal }): Promise<DiskLook> {
    const given = signal ?? AbortSignal.timeout(patienceMs);
    const { engine } = this.#options;
    const sizes = measure
      ? engine.measureDisk(given)
      : engine.caches({ measure, signal: given }).then((caches) => ({ caches, jobs: {} }));
    const [{ caches, jobs }, builds] = await Promise.all([sizes, engine.builds(given)]);
    return { ...this.#together(caches, builds), jobs };
  }

  /** Measures all where something was used since it last was and nothing uses it now: what nobody knows to be there, nobody can count on. */
  async measure(): Promise<DiskLook | undefined> {
    const isNew = (each: KeptThing) => {
      if (each.idle) return !this.#measured.has(stateOf(each));
      return each.kind === 'cache' && each.bytes === null && !each.in_use && !this.#sizeless.has(each.volume);
    };
    const { kept, unusedBytes } = await this.look({ measure: false });
    const isMoreUnused = unusedBytes > this.#unusedBytes;
    const before = kept.filter(isNew);
    if (before.length === 0) {
      this.#unusedBytes = unusedBytes;
      if (isMoreUnused) this.#options.onChange();
      return undefined;
    }
    const look = await this.look({ measure: true });
    this.#unusedBytes = unusedBytes;
    this.#measured = new Set(look.kept.filter(({ idle }) => idle).map(stateOf));
    const unknown = look.kept.flatMap((each) => (each.kind === 'cache' && each.bytes === null ? [each.volume] : []));
    const isKnown = before.some((each) => each.kind === 'image' || !unknown.includes(each.volume));
    // What the engine does not tell of one it would not tell the next time.
    this.#sizeless = new Set(unknown);
    if (isKnown || isMoreUnused) this.#options.onChange();
    return look;
  }

  /** Takes away what nobody has used for too long. */
  async prune(): Promise<void> {
    const { jobs, clock, maxAgeHours } = this.#options;
    if (maxAgeHours === undefined) return;
    const oldest = clock.wallMs() - maxAgeHours * hourMs;
    await this.#tryRemoveLayers('too_old', oldest);
    const old = (await this.#all({ measure: false })).filter((each) => usedMs(each) < oldest);
    for (const each of leastRecentlyUsed(old, neededBy(jobs.all()))) await this.#tryRemove(each, 'too_old');
  }

  /** As they are shown, those first that were not used for the longest. */
  async items(how: { readonly measure: boolean }): Promise<KeptItem[]> {
    const needed = neededBy(this.#options.jobs.all());
    const all = (await this.#all(how)).sort((one, other) => usedMs(one) - usedMs(other));
    return all.map((each) => itemOf(each, needed));
  }

  /**
   * That one, or without an id all that nobody uses. False where there is none of that id; `cache.in_use`, `image.in_use`, and of all
   * what kept the first that could not be removed, once the others are.
   */
  async removeAsked(id: string | undefined): Promise<boolean> {
    const needed = neededBy(this.#options.jobs.all());
    const all = await this.#all({ measure: false });
    if (id === undefined) {
      const troubles: unknown[] = [];
      for (const each of leastRecentlyUsed(all, needed)) {
        await this.#remove(each, 'operator').catch((error: unknown) => troubles.push(error));
      }
      await this.#tryRemoveLayers('operator');
      if (troubles.length > 0) throw troubles[0];
      return true;
    }
    const [found] = all.filter((each) => idOf(each) === id);
    if (!found) return false;
    const isFree = leastRecentlyUsed([found], needed).length > 0;
    if (isFree && (await this.#remove(found, 'operator')) !== 'in_use') return true;
    throw new AgentError(`${found.kind}.in_use`, { reason: `${nameOf(found)} is wanted by a job of this host.` });
  }

  async #all({ measure, signal: ended }: { measure: boolean; signal?: AbortSignal | undefined }): Promise<KeptThing[]> {
    const { engine } = this.#options;
    const signal = ended ?? AbortSignal.timeout(patienceMs);
    const [caches, builds] = await Promise.all([engine.caches({ measure, signal }), engine.builds(signal)]);
    return this.#together(caches, builds).kept;
  }

  #together(caches: readonly CacheSummary[], { images, unusedBytes }: HostBuilds) {
    const { idleSince } = this.#options.services;
    const sinceOf = new Map<string, number | undefined>();
    const ask = (id: string) => {
      if (!sinceOf.has(id)) sinceOf.set(id, idleSince(id));
      return sinceOf.get(id);
    };
    const all: KeptThing[] = [
      ...caches.map((cache) => ({ kind: 'cache' as const, ...cache })),
      ...images.map((image) => ({ kind: 'image' as const, ...image })),
    ];
    const kept = all.map((each) => {
      const { held_by: groups = [] } = each;
      const since = groups.flatMap((id) => ask(id) ?? []);
      const isIdle = each.in_use && groups.length > 0 && since.length === groups.length;
      return isIdle ? { ...each, in_use: false, idle: { groups, sinceMs: Math.max(...since) } } : each;
    });
    return { kept, unusedBytes };
  }

  /** One that cannot be removed keeps none of the others. */
  async #tryRemove(each: KeptThing, reason: Reason): Promise<boolean> {
    try {
      return (await this.#remove(each, reason)) === 'removed';
    } catch (err) {
      this.#options.log.warn({ err, reason: nameOf(each) }, 'what is kept for later jobs could not be taken away');
      return false;
    }
  }

  /** Undefined if none is gone. */
  async #tryRemoveLayers(reason: Reason, untilMs?: number): Promise<{ readonly bytes: number } | undefined> {
    const { engine, log, onChange } = this.#options;
    try {
      const { layers, bytes } = await engine.removeLayers({ untilMs, signal: AbortSignal.timeout(patienceMs) });
      if (layers === 0) return undefined;
      this.#tell('layers.removed', `Layers of builds that no image is made of were taken away: ${why[reason]}.`, {
        ...{ count: layers, bytes, reason },
      });
      onChange();
      return { bytes };
    } catch (err) {
      log.warn({ err }, 'layers of builds could not be taken away');
      return undefined;
    }
  }

  async #remove(each: KeptThing, reason: Reason): Promise<'removed' | 'gone' | 'in_use'> {
    const { engine, jobs, log, onChange } = this.#options;
    // A job may have begun since these were listed.
    const isNeeded = () => neededBy(jobs.all()).has(keyOfThing(each));
    if (isNeeded() || !(await this.#endIdle(each, reason)) || isNeeded()) return 'in_use';
    const signal = AbortSignal.timeout(patienceMs);
    try {
      const done =
        each.kind === 'cache'
          ? await engine.removeCache(each.volume, { empty: false, signal })
          : await engine.removeBuilt(each, signal);
      if (!done) return 'gone';
    } catch (error) {
      if (!(error instanceof AgentError) || !/^(cache|image)\.in_use$/.test(error.code)) throw error;
      log.info({ reason: error.message }, 'what is in use stays');
      return 'in_use';
    }
    const { project_id, revision_sha256, bytes, used_at } = each;
    const hash = payloadOf(each);
    const values = {
      project_id,
      revision_sha256,
      ...(hash !== undefined && { payload: hash }),
      bytes,
      used_at,
      reason,
    };
    this.#tell(`${each.kind}.removed`, `${nameOf(each)} was taken away: ${why[reason]}.`, {
      ...values,
      ...(each.kind === 'cache' ? { cache: each.name } : { image_id: each.image_id }),
    });
    onChange();
    return 'removed';
  }

  /** Ends the services that have it. False where one is to stay: a job has come, or it could not be ended for what else it has. */
  async #endIdle({ idle, project_id, revision_sha256 }: KeptThing, reason: Reason): Promise<boolean> {
    const { services, onChange } = this.#options;
    for (const group of idle?.groups ?? []) {
      if (services.idleSince(group) === undefined) return false;
      const outcome = await unlessAborted(services.giveWay(group), AbortSignal.timeout(patienceMs));
      if (outcome === 'in_use') return false;
      if (outcome === 'gone') continue;
      const revision = revision_sha256.slice(0, 12);
      const message = `Services that jobs of revision ${revision} share, and none uses, were ended: ${why[reason]}.`;
      this.#tell('services.ended', message, { group, project_id, revision_sha256, reason });
      onChange();
    }
    return true;
  }

  #tell(type: string, message: string, values: Record<string, unknown>): void {
    const { clock, report } = this.#options;
    const time = new Date(clock.wallMs()).toISOString();
    report({
      ...{ workload_id: null, source: 'host', state: null, failure: null },
      event: { time, type, phase: null, message, values },
    });
  }
}

const why = {
  disk_short: 'the disk of the engine is nearly full, and nothing else was unused for longer',
  wanted: 'a job, a build or a pull needs the room, and nothing else that may go was unused for longer',
  too_old: 'nobody has used it for as long as the operator keeps such',
  operator: 'an operator asked for it on the host',
} as const satisfies Record<Reason, string>;

function payloadOf(each: KeptThing): string | undefined {
  return each.kind === 'image' ? each.payload : undefined;
}

function nameOf(each: KeptThing): string {
  const hash = payloadOf(each);
  if (hash !== undefined) return `The downloaded image ${hash.slice(0, 17)}`;
  const revision = each.revision_sha256.slice(0, 12);
  return each.kind === 'cache' ? `The cache ${each.name} of revision ${revision}` : `The image of revision ${revision}`;
}

function idOf(each: KeptThing): string {
  const name = each.kind === 'cache' ? each.volume : `${each.project_id}\n${each.key}`;
  return createHash('sha256').update(name).digest('hex').slice(0, 24);
}

function itemOf(each: KeptThing, needed: ReadonlySet<string>): KeptItem {
  const { kind, project_id, revision_sha256, used_at } = each;
  const bytes = lastBytes(each);
  const own =
    each.kind === 'cache'
      ? { name: each.name, class: each.class, max_bytes: each.max_bytes }
      : {
          name: null,
          class: null,
          max_bytes: null,
          ...(each.own_bytes !== undefined && { own_bytes: each.own_bytes }),
          ...(each.payload !== undefined && { payload: each.payload }),
        };
  const in_use = each.in_use || needed.has(keyOfThing(each));
  return { id: idOf(each), kind, project_id, revision_sha256, ...own, bytes, used_at, in_use };
}

/** What it is, and since when nobody uses it. */
function stateOf(each: KeptThing): string {
  return `${idOf(each)} ${usedMs(each)}`;
}

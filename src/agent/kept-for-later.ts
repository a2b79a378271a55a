/**
 * What this host keeps of projects for their next jobs: caches, and images that it has built. What nobody has used for the longest
 * goes first, where the engine's disk gets short, and what is older than the operator wants. Before all of it go layers of builds that
 * no image is made of: they make the next build quicker, and no more.
 *
 * Never what a container has, nor what belongs to a revision that a job of this host is of: between two of its containers
 * nothing else would hold it.
 */
import { createHash } from 'node:crypto';
import { AgentError } from '../contract/failures.ts';
import { jobHasEnded } from '../contract/job-state.ts';
import type { KeptItem } from '../contract/kept-items.ts';
import type { RecordBody } from '../contract/records.ts';
import type { KeptJob } from '../jobs/job-record.ts';
import type { Clock } from '../kit/clock.ts';
import type { Log } from '../kit/log.ts';
import { KeyedMutex } from '../kit/mutex.ts';
import { revisionsOf } from '../policy/plan-revisions.ts';
import type { BuiltSummary, CacheSummary, ContainerEngine } from '../runtime/engine.ts';

export type KeptThing = ({ readonly kind: 'cache' } & CacheSummary) | ({ readonly kind: 'image' } & BuiltSummary);

/** What may go, that of the longest ago first. `needed`: revisions of jobs that have not ended. */
export function leastRecentlyUsed(kept: readonly KeptThing[], needed: ReadonlySet<string>): KeptThing[] {
  return kept
    .filter((each) => !each.in_use && !needed.has(each.revision_sha256))
    .sort((one, other) => usedMs(one) - usedMs(other));
}

/** Milliseconds since 1970; of what nobody remembers, 0. */
function usedMs({ used_at }: Pick<KeptThing, 'used_at'>): number {
  return used_at === null ? 0 : Date.parse(used_at);
}

export interface KeptForLaterOptions {
  readonly engine: Pick<ContainerEngine, 'caches' | 'removeCache' | 'builtImages' | 'removeBuilt' | 'removeLayers'>;
  readonly jobs: { all(): readonly Pick<KeptJob, 'plan' | 'record'>[] };
  /** After its last use; undefined: however long. */
  readonly maxAgeHours: number | undefined;
  readonly clock: Clock;
  readonly log: Log;
  readonly report: (event: RecordBody<'event'>) => void;
  /** Called after something was taken away. */
  readonly onChange: () => void;
}

type Reason = 'disk_short' | 'too_old' | 'operator';

const hourMs = 3_600_000;
const patienceMs = 300_000;

export class KeptForLater {
  readonly #options: KeptForLaterOptions;
  readonly #turns = new KeyedMutex();

  constructor(options: KeptForLaterOptions) {
    this.#options = options;
  }

  /**
   * Takes away one after the other until `isEnough`, or nothing is left that may go. `own`: revisions of whoever asks, which stay. One at
   * a time: who comes meanwhile may find that enough is gone.
   */
  async makeRoom(isEnough: () => Promise<boolean>, own: ReadonlySet<string> = new Set()): Promise<void> {
    await this.#turns.run('room', async () => {
      if (!(await isEnough())) await this.#makeRoom(isEnough, own);
    });
  }

  async #makeRoom(isEnough: () => Promise<boolean>, own: ReadonlySet<string>): Promise<void> {
    const { jobs } = this.#options;
    if ((await this.#tryRemoveLayers('disk_short')) && (await isEnough())) return;
    const free = async (measure: boolean) =>
      leastRecentlyUsed(await this.#all({ measure }), own.union(neededBy(jobs.all())));
    const unmeasured = await free(false);
    if (unmeasured.length === 0) return;
    // Sizes are only told of: where measuring takes too long, nothing waits for it.
    for (const each of await free(true).catch(() => unmeasured)) {
      if ((await this.#tryRemove(each, 'disk_short')) && (await isEnough())) return;
    }
  }

  /** Bytes on the disk of what a job of these revisions finds there: its caches, as far as they were measured, and its image. */
  async bytesOf(revisions: ReadonlySet<string>): Promise<number> {
    const own = (await this.#all({ measure: false })).filter((each) => revisions.has(each.revision_sha256));
    const of = (kind: KeptThing['kind']) => own.flatMap((each) => (each.kind === kind ? (each.bytes ?? 0) : []));
    return of('cache').reduce((sum, bytes) => sum + bytes, 0) + Math.max(0, ...of('image'));
  }

  /** Bytes that would go if all went that may: of caches as far as they were measured, of images what nothing else has of them. */
  async evictable(signal: AbortSignal): Promise<number> {
    const all = leastRecentlyUsed(await this.#all({ measure: false, signal }), neededBy(this.#options.jobs.all()));
    return all.reduce((sum, each) => sum + ((each.kind === 'cache' ? each.bytes : each.own_bytes) ?? 0), 0);
  }

  /** Measures caches that were used since they last were: what nobody knows to be there, nobody can count on. */
  async measure(): Promise<void> {
    const { engine, onChange } = this.#options;
    const signal = AbortSignal.timeout(patienceMs);
    const caches = await engine.caches({ measure: false, signal });
    if (!caches.some(({ bytes, in_use }) => bytes === null && !in_use)) return;
    await engine.caches({ measure: true, signal });
    onChange();
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

  async #all({ measure, signal: ended }: { measure: boolean; signal?: AbortSignal }): Promise<KeptThing[]> {
    const { engine } = this.#options;
    const signal = ended ?? AbortSignal.timeout(patienceMs);
    const [caches, images] = await Promise.all([engine.caches({ measure, signal }), engine.builtImages(signal)]);
    return [
      ...caches.map((cache) => ({ kind: 'cache' as const, ...cache })),
      ...images.map((image) => ({ kind: 'image' as const, ...image })),
    ];
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

  /** True if any is gone. */
  async #tryRemoveLayers(reason: Reason, untilMs?: number): Promise<boolean> {
    const { engine, log } = this.#options;
    try {
      const { layers, bytes } = await engine.removeLayers({ untilMs, signal: AbortSignal.timeout(patienceMs) });
      if (layers === 0) return false;
      this.#tell('layers.removed', `Layers of builds that no image is made of were taken away: ${why[reason]}.`, {
        ...{ count: layers, bytes, reason },
      });
      return true;
    } catch (err) {
      log.warn({ err }, 'layers of builds could not be taken away');
      return false;
    }
  }

  async #remove(each: KeptThing, reason: Reason): Promise<'removed' | 'gone' | 'in_use'> {
    const { engine, jobs, log, onChange } = this.#options;
    // A job may have begun since these were listed.
    if (neededBy(jobs.all()).has(each.revision_sha256)) return 'in_use';
    const signal = AbortSignal.timeout(patienceMs);
    try {
      const done =
        each.kind === 'cache'
          ? await engine.removeCache(each.volume, { empty: false, signal })
          : await engine.removeBuilt(each, signal);
      if (!done) return 'gone';
    } catch (error) {
      if (!(error instanceof AgentError) || !/^(cache|image)\.in_use$/.test(error.code)) throw error;
      log.info({ reason: error.message }, 'what a container has stays');
      return 'in_use';
    }
    const { project_id, revision_sha256, bytes, used_at } = each;
    const values = { project_id, revision_sha256, bytes, used_at, reason };
    this.#tell(`${each.kind}.removed`, `${nameOf(each)} was taken away: ${why[reason]}.`, {
      ...values,
      ...(each.kind === 'cache' ? { cache: each.name } : { image_id: each.image_id }),
    });
    onChange();
    return 'removed';
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
  too_old: 'nobody has used it for as long as the operator keeps such',
  operator: 'an operator asked for it on the host',
} as const satisfies Record<Reason, string>;

function nameOf(each: KeptThing): string {
  const revision = each.revision_sha256.slice(0, 12);
  return each.kind === 'cache' ? `The cache ${each.name} of revision ${revision}` : `The image of revision ${revision}`;
}

function idOf(each: KeptThing): string {
  const name = each.kind === 'cache' ? each.volume : `${each.project_id}\n${each.key}`;
  return createHash('sha256').update(name).digest('hex').slice(0, 24);
}

function itemOf(each: KeptThing, needed: ReadonlySet<string>): KeptItem {
  const { kind, project_id, revision_sha256, bytes, used_at } = each;
  const own =
    each.kind === 'cache'
      ? { name: each.name, class: each.class, max_bytes: each.max_bytes }
      : {
          name: null,
          class: null,
          max_bytes: null,
          ...(each.own_bytes !== undefined && { own_bytes: each.own_bytes }),
        };
  const in_use = each.in_use || needed.has(revision_sha256);
  return { id: idOf(each), kind, project_id, revision_sha256, ...own, bytes, used_at, in_use };
}

/** Of the jobs that have not ended. */
function neededBy(jobs: readonly Pick<KeptJob, 'plan' | 'record'>[]): ReadonlySet<string> {
  return new Set(jobs.filter(({ record }) => !jobHasEnded(record.state)).flatMap(({ plan }) => [...revisionsOf(plan)]));
}

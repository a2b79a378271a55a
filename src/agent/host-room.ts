/**
 * Makes room on the engine's disk of what is kept for later jobs, before something that is wanted now finds none, and holds what jobs at
 * work were promised.
 *
 *   a build, a pull ──(less than it needs)──▶ what may go goes ──▶ goes on, or `disk.full`
 *   a job ──(less than it asks for)──▶ what may go goes, but for its own ──▶ begins, or is refused: `disk.full`
 *
 * What was promised is in the records of the jobs: an agent that was killed holds it as before. Jobs begin one after the other, so that no
 * two are promised the same; those that find too little are refused and wait for nobody.
 */
import { AgentError } from '../contract/failures.ts';
import type { JobPlan } from '../contract/job-plan.ts';
import type { DiskSpace } from '../host/resources.ts';
import type { EngineRoom } from '../jobs/engine-room.ts';
import type { KeptJob } from '../jobs/job-record.ts';
import type { Log } from '../kit/log.ts';
import { KeyedMutex } from '../kit/mutex.ts';
import { toGib } from '../kit/to-gib.ts';
import { unlessAborted } from '../kit/unless-aborted.ts';
import { yetToWrite } from '../policy/disk-room.ts';
import { type KeptForLater, leastRecentlyUsed, roomIn, roomOf } from './kept-for-later.ts';
import { bytesAsked, bytesFor, type DiskLook, heldBy, keysOf, neededBy, promisedBy, sumOf } from './promised-disk.ts';

export interface HostRoomOptions {
  /** Bytes that must stay free where the engine keeps its data. */
  readonly diskReserveBytes: number;
  /** Undefined while nobody knows where the engine keeps its data. */
  readonly disk: () => Promise<DiskSpace | undefined>;
  readonly kept: Pick<KeptForLater, 'makeRoom' | 'look' | 'measure'>;
  readonly jobs: { all(): readonly Pick<KeptJob, 'plan' | 'record'>[] };
  /** True while nothing is launched, whatever is free. */
  readonly isShort: () => boolean;
  readonly log: Log;
  /** Called where a job found less than it was sent for, and where what is held has become less. */
  readonly onChange: () => void;
}

const gib = 2 ** 30;

export class HostRoom implements EngineRoom {
  readonly #options: HostRoomOptions;
  readonly #turns = new KeyedMutex();
  /** Bytes that each job had written when that was last measured. */
  #written: Readonly<Record<string, number>> = {};
  /** Bytes that were free then. */
  #freeThen = Number.NaN;

  constructor(options: HostRoomOptions) {
    this.#options = options;
  }

  readonly make: EngineRoom['make'] = async (bytes, signal) => {
    const missing = async () => bytes - (await this.#free());
    await this.#makeRoom({ missing, reason: 'wanted', signal });
  };

  readonly begin: EngineRoom['begin'] = async (plan, signal, begin) => {
    if (plan.disk_gib === undefined) return begin();
    return await this.#turns.run(
      'begin',
      async () => {
        try {
          await unlessAborted(this.#assertRoom(plan, signal), signal);
        } catch (error) {
          if (!signal.aborted) throw error;
        }
        // Whatever an earlier attempt of it had written is gone.
        this.#written = without(this.#written, plan.identity.job_id);
        return begin();
      },
      signal,
    );
  };

  readonly look: EngineRoom['look'] = async (signal) => {
    const look = await this.#options.kept.look({ measure: false, signal });
    const jobs = this.#options.jobs.all();
    return {
      isShort: this.#options.isShort(),
      evictable: roomIn(look, neededBy(jobs)),
      held: heldBy(jobs, { ...look, jobs: this.#written }),
    };
  };

  /** Measures what has rested unmeasured, and what jobs at work have written: once of each, and where the disk says that it is a lot. */
  async measure(): Promise<void> {
    const { kept, jobs, onChange } = this.#options;
    const look = await kept.measure();
    if (look) return this.#note(look, await this.#free());
    const promised = [...promisedBy(jobs.all()).keys()];
    if (promised.length === 0) return;
    const free = await this.#free();
    const isKnown = promised.every((id) => id in this.#written);
    if (isKnown && Math.abs(free - this.#freeThen) < gib) return;
    this.#note(await kept.look({ measure: true }), free);
    onChange();
  }

  #note(look: DiskLook, free: number): void {
    const promised = [...promisedBy(this.#options.jobs.all()).keys()];
    this.#written = Object.fromEntries(promised.map((id) => [id, look.jobs[id] ?? 0]));
    this.#freeThen = free;
  }

  async #assertRoom(plan: JobPlan, signal: AbortSignal): Promise<void> {
    const { diskReserveBytes, kept, jobs, onChange } = this.#options;
    const { job_id: id } = plan.identity;
    const others = jobs.all().filter((job) => job.plan.identity.job_id !== id);
    const promised = promisedBy(others);
    if ((await this.#free()) >= bytesAsked(plan) + sumOf(promised.values()) + diskReserveBytes) return;
    const rough = await this.#unlessAway(kept.look({ measure: false, signal }), undefined);
    // Nobody can say then how much it needs beside what is there.
    if (rough === undefined) return;
    const needs = (look: DiskLook) => yetToWrite(bytesAsked(plan), { there: bytesFor(plan, look.kept) });
    const holds = (look: DiskLook) => sumOf(heldBy(others, look).values());
    // It is promised nothing, so that others are promised no less.
    if (needs(rough) === 0) return;
    let look = rough;
    let needed = needs(look) + holds(look) + diskReserveBytes;
    const isExact = promised.size === 0 && rough.kept.every(({ bytes }) => bytes !== null);
    if ((await this.#free()) < needed && !isExact) {
      look = await this.#unlessAway(kept.look({ measure: true, signal }), rough);
      if (look !== rough) this.#note(look, await this.#free());
      needed = needs(look) + holds(look) + diskReserveBytes;
    }
    const missing = async () => needed - (await this.#free());
    const own = keysOf(plan);
    const used = () => this.#used();
    await this.#makeRoom({ missing, reason: 'wanted', own, isAllOrNothing: true, used, signal });
    const freeBytes = await this.#free();
    if (freeBytes >= needed || signal.aborted) return;
    onChange();
    const has = Math.max(0, freeBytes - diskReserveBytes - holds(look));
    const said = sumOf(leastRecentlyUsed(look.kept, own.union(neededBy(others))).map(roomOf));
    const more = Math.min(said, await this.#used());
    const reason = [
      `The engine's disk has ${toGib(has)} GiB for it, and the job needs ${toGib(needs(look))}.`,
      ...(holds(look) > 0 ? [`${toGib(holds(look))} GiB are held for jobs at work.`] : []),
      ...(more > 0 && more < needed - freeBytes
        ? [`What may go, ${toGib(more)} GiB, would be too little: it stays.`]
        : []),
    ];
    throw new AgentError('disk.full', {
      reason: reason.join(' '),
      ...{ free_bytes: freeBytes, needed_bytes: needed, held_bytes: holds(look) },
    });
  }

  async #makeRoom(wanted: Parameters<KeptForLater['makeRoom']>[0]): Promise<void> {
    const { signal } = wanted;
    const work = this.#options.kept.makeRoom(wanted);
    await this.#unlessAway(signal ? unlessAborted(work, signal) : work, undefined, signal);
  }

  async #free(): Promise<number> {
    const space = await this.#unlessAway(this.#options.disk(), undefined);
    return space?.freeBytes ?? Number.POSITIVE_INFINITY;
  }

  async #used(): Promise<number> {
    const space = await this.#unlessAway(this.#options.disk(), undefined);
    return space ? space.totalBytes - space.freeBytes : Number.POSITIVE_INFINITY;
  }

  /** An engine that is away fails nothing here: what follows waits for it. */
  async #unlessAway<T>(asked: Promise<T>, otherwise: T, signal?: AbortSignal): Promise<T> {
    return await asked.catch((err: unknown) => {
      if (!signal?.aborted)
        this.#options.log.warn({ err }, 'the disk of the engine could not be looked at or made room on');
      return otherwise;
    });
  }
}

function without(written: Readonly<Record<string, number>>, job: string): Readonly<Record<string, number>> {
  const { [job]: _gone, ...rest } = written;
  return rest;
}

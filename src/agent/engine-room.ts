/**
 * Makes room on the engine's disk of what is kept for later jobs, before something that is wanted now finds none.
 *
 *   a build, a pull ──(less than it needs)──▶ what may go goes ──▶ goes on, or `disk.full`
 *   a job ──(less than it asks for)──▶ what may go goes, but for its own ──▶ begins, or is refused: `disk.full`
 */
import { AgentError } from '../contract/failures.ts';
import type { JobPlan } from '../contract/job-plan.ts';
import type { DiskSpace } from '../host/resources.ts';
import type { EngineRoom } from '../jobs/engine-room.ts';
import type { Log } from '../kit/log.ts';
import { revisionsOf } from '../policy/plan-revisions.ts';
import type { KeptForLater } from './kept-for-later.ts';

export interface EngineRoomOptions {
  /** Bytes that must stay free where the engine keeps its data. */
  readonly diskReserveBytes: number;
  /** Undefined while nobody knows where the engine keeps its data. */
  readonly disk: () => Promise<DiskSpace | undefined>;
  readonly kept: Pick<KeptForLater, 'makeRoom' | 'bytesOf' | 'evictable'>;
  readonly log: Log;
}

const gib = 2 ** 30;

export function openEngineRoom({ diskReserveBytes, disk, kept, log }: EngineRoomOptions): EngineRoom {
  // An engine that is away fails nothing here: what follows waits for it.
  const unlessAway = async <T>(asked: Promise<T>, otherwise: T): Promise<T> =>
    await asked.catch((err: unknown) => {
      log.warn({ err }, 'no room could be made on the disk of the engine');
      return otherwise;
    });
  const free = async () => (await unlessAway(disk(), undefined))?.freeBytes ?? Number.POSITIVE_INFINITY;
  const make = async (bytes: number, own?: ReadonlySet<string>) =>
    await unlessAway(
      kept.makeRoom(async () => (await free()) >= bytes, own),
      undefined,
    );
  const makeFor = async ({ disk_gib, ...plan }: JobPlan) => {
    if (disk_gib === undefined || (await free()) >= disk_gib * gib + diskReserveBytes) return;
    const own = revisionsOf(plan);
    const there = await unlessAway(kept.bytesOf(own), undefined);
    // Nobody can say then how much it needs beside that.
    if (there === undefined) return;
    const wanted = Math.max(0, disk_gib * gib - there);
    if ((await free()) < wanted + diskReserveBytes) await make(wanted + diskReserveBytes, own);
    const freeBytes = await free();
    if (freeBytes >= wanted + diskReserveBytes) return;
    const left = Math.max(0, freeBytes - diskReserveBytes);
    throw new AgentError('disk.full', {
      reason: `The engine's disk has ${toGib(left)} GiB for it, and the job needs ${toGib(wanted)}.`,
      ...{ free_bytes: freeBytes, needed_bytes: wanted + diskReserveBytes },
    });
  };
  return { make: (bytes) => make(bytes), makeFor, evictable: (signal) => kept.evictable(signal) };
}

function toGib(bytes: number): number {
  return Math.round((bytes / gib) * 100) / 100;
}

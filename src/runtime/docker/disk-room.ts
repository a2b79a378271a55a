/** What is free where the engine keeps its data. */
import { AgentError } from '../../contract/failures.ts';
import { readDisk } from '../../host/resources.ts';
import { pause } from '../../kit/backoff.ts';
import { toGib } from '../../kit/to-gib.ts';
import type { MakeRoom } from '../engine.ts';

export interface RoomMeans {
  readonly makeRoom?: MakeRoom | undefined;
  readonly signal: AbortSignal;
}

interface ReserveMeans extends RoomMeans {
  /** Bytes that must stay free. */
  readonly diskReserveBytes: number;
}

const diskMs = 1000;
/** Of the reserve: with just that an engine that goes on writing would be short again in a moment. */
const relief = 1.25;

/** Bytes; where that is fewer than are wanted, after room was made as far as that can be. Rejects with the signal's reason. */
export async function freeOf(path: string, wantedBytes: number, { makeRoom, signal }: RoomMeans): Promise<number> {
  const { freeBytes } = await readDisk(path);
  if (freeBytes >= wantedBytes || makeRoom === undefined) return freeBytes;
  await makeRoom(wantedBytes, signal);
  signal.throwIfAborted();
  return (await readDisk(path)).freeBytes;
}

/**
 * Rejects where there is no room, and when the signal is aborted. To make some may take minutes, in which the engine goes on writing: it is
 * looked at meanwhile as well, and below half of the reserve waits for nothing.
 */
export async function watchRoom(path: string, options: ReserveMeans, signal: AbortSignal): Promise<never> {
  const { diskReserveBytes: reserveBytes, makeRoom } = options;
  let making: 'not yet' | 'at work' | 'done' = makeRoom === undefined ? 'done' : 'not yet';
  for (;;) {
    await pause(diskMs, signal);
    // Of before the look: what was made meanwhile is seen at the next.
    const wasDone = making === 'done';
    const { freeBytes } = await readDisk(path);
    if (freeBytes >= reserveBytes) {
      if (making === 'done' && makeRoom !== undefined) making = 'not yet';
      continue;
    }
    if (wasDone || freeBytes < reserveBytes / 2) throw noRoom(path, freeBytes, reserveBytes);
    if (making !== 'not yet') continue;
    making = 'at work';
    void makeRoom?.(reserveBytes * relief, signal).then(() => {
      making = 'done';
    });
  }
}

export async function assertRoom(path: string, options: ReserveMeans): Promise<void> {
  const { diskReserveBytes: reserveBytes } = options;
  const freeBytes = await freeOf(path, reserveBytes, options);
  if (freeBytes < reserveBytes) throw noRoom(path, freeBytes, reserveBytes);
}

function noRoom(path: string, freeBytes: number, reserveBytes: number): AgentError {
  const reason = `The engine's disk has ${toGib(freeBytes)} GiB left, and ${toGib(reserveBytes)} are kept free.`;
  return new AgentError('disk.full', { reason, path, free_bytes: freeBytes, needed_bytes: reserveBytes });
}

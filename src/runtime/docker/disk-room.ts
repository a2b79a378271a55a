/** What is free where the engine keeps its data. */
import { readDisk } from '../../host/resources.ts';
import type { MakeRoom } from '../engine.ts';

export interface RoomMeans {
  readonly makeRoom?: MakeRoom | undefined;
  readonly signal: AbortSignal;
}

/** Bytes; where that is fewer than are wanted, after room was made as far as that can be. Rejects with the signal's reason. */
export async function freeOf(path: string, wantedBytes: number, { makeRoom, signal }: RoomMeans): Promise<number> {
  const { freeBytes } = await readDisk(path);
  if (freeBytes >= wantedBytes || makeRoom === undefined) return freeBytes;
  await makeRoom(wantedBytes, signal);
  signal.throwIfAborted();
  return (await readDisk(path)).freeBytes;
}

/** What is free where the engine keeps its data. */
import { readDisk } from '../../host/resources.ts';
import type { MakeRoom } from '../engine.ts';

/** Bytes; where that is fewer than are wanted, after room was made as far as that can be. */
export async function freeOf(path: string, wantedBytes: number, makeRoom: MakeRoom | undefined): Promise<number> {
  const { freeBytes } = await readDisk(path);
  if (freeBytes >= wantedBytes || makeRoom === undefined) return freeBytes;
  await makeRoom(wantedBytes);
  return (await readDisk(path)).freeBytes;
}

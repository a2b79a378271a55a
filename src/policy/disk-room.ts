/**
 * What a job needs of the disk of a host, and may have there. Hosts begin jobs by it, and whoever places jobs counts as they do: where the two
 * differed, jobs would wait beside a host that would take them, or be refused by the one that they fit on. In any one unit. Pure.
 */
import type { KeptItem } from '../contract/kept-items.ts';

/** What a job of a revision finds of it: all of its caches, and the largest image, as every job has only one. */
export function thereOf(kept: readonly { readonly kind: KeptItem['kind']; readonly size: number }[]): number {
  const of = (kind: KeptItem['kind']) => kept.flatMap((each) => (each.kind === kind ? each.size : []));
  return of('cache').reduce((sum, size) => sum + size, 0) + Math.max(0, ...of('image'));
}

/** What a job may write yet of what it asked for. */
export function yetToWrite(asked: number, { there, written = 0 }: { there: number; written?: number }): number {
  return Math.max(0, asked - there - written);
}

export interface DiskRoom {
  /** Free beside the reserve, with what would go for the job: nothing of its own revision. */
  readonly room: number;
  /** For jobs at work. */
  readonly held: number;
  /** Of its revision. */
  readonly there: number;
}

/** Most that a job can ask for. One that finds all of it there is promised nothing, and so begins also where too much is held already. */
export function mostFor({ room, held, there }: DiskRoom): number {
  return Math.max(0, room - held) + there;
}

/** What a host says that it can give: free beside its reserve, and what would make room, of which the reserve is filled first. */
export function beyondReserve({ free, evictable, reserve }: { free: number; evictable: number; reserve: number }) {
  return {
    free: Math.max(0, free - reserve),
    evictable: Math.max(0, evictable - Math.max(0, reserve - free)),
  };
}

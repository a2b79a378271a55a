/** What a host has of its disk for a job: what jobs at work leave, and what is there of its revision. Pure. */
import type { KeptItem } from '../../contract/kept-items.ts';
import { mostFor, thereOf, yetToWrite } from '../../policy/disk-room.ts';

/** The disk that a job at work asks for. */
export interface DiskClaim {
  /** Undefined of one that is being given to the host. */
  readonly job: string | undefined;
  readonly gib: number;
  /** Its revision; undefined where it is of none. */
  readonly revision: string | undefined;
}

/** What a host has of a revision, in GiB. */
interface OfRevision {
  /** What a job of it finds there, and so does not need again. */
  readonly there: number;
  /** How much of that would make room for others, so that the host counts it as room as well. */
  readonly evictable: number;
}

export interface HostDisk {
  /** GiB that it can give now: what is free, and what would make room. */
  readonly now: number;
  /** GiB that each job may write yet which the host had when it told of that. */
  readonly held: Readonly<Record<string, number>>;
  /** Of jobs at work. */
  readonly claims: readonly DiskClaim[];
  /** By revision. */
  readonly kept: ReadonlyMap<string, OfRevision>;
}

const nothing: OfRevision = { there: 0, evictable: 0 };

/**
 * GiB that a job of that revision can ask for there: what the host has of it counts, as the host will count it. A host that can give none is
 * below its reserve, and launches nothing whatever there is.
 */
export function diskFor(disk: HostDisk, revision: string | undefined): number {
  if (disk.now <= 0) return 0;
  const { there, evictable } = keptOf(disk, revision);
  return mostFor({ room: disk.now - evictable, held: heldOn(disk), there });
}

/** Most GiB that a job of that revision could ask for there once all that is at work has ended, as far as what that has written is known. */
export function diskOnceIdle(disk: HostDisk, revision: string | undefined): number {
  const written = disk.claims.map(
    ({ job, gib, revision: its }) => Math.max(0, gib - keptOf(disk, its).there) - (disk.held[job ?? ''] ?? 0),
  );
  const others = new Set(disk.claims.flatMap(({ revision: its }) => (its === revision ? [] : (its ?? []))));
  const theirs = [...others].map((its) => keptOf(disk, its)).map(({ there, evictable }) => there - evictable);
  const { there, evictable } = keptOf(disk, revision);
  return Math.max(0, disk.now - evictable) + there + sum(written) + sum(theirs);
}

/**
 * GiB. Of a job that the host has told of, what it may write yet; of one that was given to it since, and of all jobs of a host that tells of
 * none, what it asks for without what is there of its revision: also where it has written it.
 */
function heldOn(disk: HostDisk): number {
  return sum(
    disk.claims.map(({ job, gib, revision }) => disk.held[job ?? ''] ?? yetToWrite(gib, keptOf(disk, revision))),
  );
}

function keptOf({ kept }: HostDisk, revision: string | undefined): OfRevision {
  return (revision !== undefined && kept.get(revision)) || nothing;
}

/** Of what a host says that it keeps, what is of that project: of caches all, of images the largest, as every job has only one. */
export function keptByRevision(items: readonly KeptItem[], projectId: string): ReadonlyMap<string, OfRevision> {
  const own = items.filter(({ project_id }) => project_id === projectId);
  const grouped = Map.groupBy(own, ({ revision_sha256 }) => revision_sha256);
  return new Map([...grouped].map(([revision, kept]) => [revision, inAll(kept)]));
}

function inAll(items: readonly KeptItem[]): OfRevision {
  const there = thereOf(items.map(({ kind, bytes }) => ({ kind, size: bytes ?? 0 })));
  // What an agent of before says of an image is more than would go with it: then less counts as room.
  const idle = items.filter(({ in_use }) => !in_use).map(({ own_bytes, bytes: all }) => own_bytes ?? all ?? 0);
  return { there: inGib(there), evictable: inGib(sum(idle)) };
}

const sum = (amounts: readonly number[]) => amounts.reduce((all, one) => all + one, 0);
const inGib = (bytes: number) => bytes / 2 ** 30;

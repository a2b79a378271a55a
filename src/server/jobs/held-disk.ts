/** What a host has of its disk for a job: what jobs at work leave, and what is there of its revision. Pure. */
import type { KeptItem } from '../../contract/kept-items.ts';
import type { JobNeeds } from '../db/entities/job.ts';

/** The disk that a job at work asks for, in GiB. */
export interface DiskClaim {
  readonly own: number;
  /** Once for all jobs of its revision there. */
  readonly shared: number;
  /** Its revision; undefined where it is of none. */
  readonly revision: string | undefined;
  /** What its host could give when it was given the job, with what it found there; undefined where nobody has noted that. */
  readonly found: number | undefined;
}

/**
 * Of what a host can give now. All that a job asks for is held until it is over, also while it has written none of it. What it has written
 * counts once: a job and those that were begun after it have to fit into the most that their host could give since then. `claims`: oldest first.
 */
export function diskLeft(now: number, claims: readonly DiskClaim[]): number {
  const shared = new Map<string, number>();
  let held = 0;
  let most = now;
  let left = now;
  for (const { own, shared: together, revision = '', found = now } of claims.toReversed()) {
    const known = shared.get(revision) ?? 0;
    shared.set(revision, Math.max(known, together));
    held += own + Math.max(0, together - known);
    most = Math.max(most, found);
    left = Math.min(left, most - held);
  }
  return Math.max(0, left);
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
  /** Of jobs at work, oldest first. */
  readonly claims: readonly DiskClaim[];
  /** By revision. */
  readonly kept: ReadonlyMap<string, OfRevision>;
}

const nothing: OfRevision = { there: 0, evictable: 0 };

/**
 * GiB that a job of that revision can ask for there. What the host has of it counts, as the host will count it; before that is there, what
 * jobs of it that are at work ask for it.
 */
export function diskFor(disk: HostDisk, revision: string | undefined): number {
  const { there, evictable } = keptOf(disk, revision);
  const own = disk.claims.filter((claim) => revision !== undefined && claim.revision === revision);
  return diskLeft(disk.now - evictable, disk.claims) + Math.max(there, ...own.map(({ shared }) => shared));
}

/** What such a job has to find there in all, once it is given to the host. */
export function foundOn(disk: HostDisk, revision: string | undefined): number {
  const { there, evictable } = keptOf(disk, revision);
  return disk.now - evictable + there;
}

/** The disk once it has that job. */
export function claiming(disk: HostDisk, needs: JobNeeds, revision: string | undefined): HostDisk {
  return { ...disk, claims: [...disk.claims, claimOf(needs, revision, foundOn(disk, revision))] };
}

export function claimOf(
  { disk_gib, disk_parts = [] }: JobNeeds,
  revision: string | undefined,
  found: number | undefined,
): DiskClaim {
  const shared = disk_parts.reduce((sum, part) => sum + (part.shared === true ? part.gib : 0), 0);
  return { own: Math.max(0, disk_gib - shared), shared, revision, found };
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
  const bytes = (of: readonly KeptItem[]) => of.map((item) => item.bytes ?? 0);
  const caches = bytes(items.filter(({ kind }) => kind === 'cache'));
  const images = bytes(items.filter(({ kind }) => kind === 'image'));
  // What an agent of before says of an image is more than would go with it: then less counts as room.
  const idle = items.filter(({ in_use }) => !in_use).map(({ own_bytes, bytes: all }) => own_bytes ?? all ?? 0);
  return { there: inGib(sum(caches) + Math.max(0, ...images)), evictable: inGib(sum(idle)) };
}

const sum = (amounts: readonly number[]) => amounts.reduce((all, one) => all + one, 0);
const inGib = (bytes: number) => bytes / 2 ** 30;

/** What jobs of a host were promised of its disk, and what of that they have there already. Pure. */
import type { JobPlan } from '../contract/job-plan.ts';
import { jobHasEnded } from '../contract/job-state.ts';
import type { KeptJob } from '../jobs/job-record.ts';
import { payloadKey } from '../policy/choose-payload.ts';
import { thereOf, yetToWrite } from '../policy/disk-room.ts';
import { revisionsOf } from '../policy/plan-revisions.ts';
import type { KeptThing } from './kept-for-later.ts';

type HostJob = Pick<KeptJob, 'plan' | 'record'>;

/** The disk as it was looked at. */
export interface DiskLook {
  readonly kept: readonly KeptThing[];
  /** Bytes of layers of builds that no image is made of. */
  readonly unusedBytes: number;
  /** Bytes in volumes of its own and written in its containers, by job. */
  readonly jobs: Readonly<Record<string, number>>;
}

/** A revision of a project, as it is told from others. */
export function revisionKey(project: string, revision: string): string {
  return `${project} ${revision}`;
}

export function keyOfThing({ project_id, revision_sha256 }: Pick<KeptThing, 'project_id' | 'revision_sha256'>): string {
  return revisionKey(project_id, revision_sha256);
}

/** What a plan is of: revisions, and images that are downloaded. */
export function keysOf(plan: JobPlan): ReadonlySet<string> {
  const payloads = plan.images.flatMap(({ source }) => (source.kind === 'payload' ? source.payload : []));
  const all = [...revisionsOf(plan), ...payloads.map(({ hash }) => payloadKey(hash))];
  return new Set(all.map((revision) => revisionKey(plan.identity.project_id, revision)));
}

/** What a job that has not ended is of: between two of its containers nothing else would hold it. */
export function neededBy(jobs: readonly HostJob[]): ReadonlySet<string> {
  return new Set(jobs.filter(isOpen).flatMap(({ plan }) => [...keysOf(plan)]));
}

/** Bytes that it was last found to have, a cache in use as well; null where nobody has looked. */
export function lastBytes(each: KeptThing): number | null {
  return each.bytes ?? (each.kind === 'cache' ? (each.last_bytes ?? null) : null);
}

/** Bytes of what a job finds there: its caches, by what they were last found to have, and one image with its bases. */
export function bytesFor(plan: JobPlan, kept: readonly KeptThing[]): number {
  const keys = keysOf(plan);
  const own = kept.filter((each) => keys.has(keyOfThing(each)));
  return thereOf(own.map((each) => ({ kind: each.kind, size: lastBytes(each) ?? 0 })));
}

/** Bytes that each job which has not ended asked for. */
export function promisedBy(jobs: readonly HostJob[]): ReadonlyMap<string, number> {
  const asking = jobs.filter(isOpen).filter(({ plan }) => plan.disk_gib !== undefined);
  return new Map(asking.map(({ plan }) => [plan.identity.job_id, bytesAsked(plan)]));
}

/** Bytes that each of them may write yet. */
export function heldBy(
  jobs: readonly HostJob[],
  { kept, jobs: written }: Pick<DiskLook, 'kept' | 'jobs'>,
): ReadonlyMap<string, number> {
  const promised = promisedBy(jobs);
  const held = jobs.flatMap(({ plan }) => {
    const { job_id: id } = plan.identity;
    const asked = promised.get(id);
    if (asked === undefined) return [];
    return [[id, yetToWrite(asked, { there: bytesFor(plan, kept), written: written[id] ?? 0 })] as const];
  });
  return new Map(held);
}

export function bytesAsked({ disk_gib = 0 }: JobPlan): number {
  return disk_gib * 2 ** 30;
}

export function sumOf(amounts: Iterable<number>): number {
  return [...amounts].reduce((sum, amount) => sum + amount, 0);
}

function isOpen({ record }: HostJob): boolean {
  return !jobHasEnded(record.state);
}

/** The plan of a job for one place. */
import type { JobPlan } from '../../contract/job-plan.ts';
import type { AcceptedJob } from '../../manifests/job-dialects.ts';
import type { PlannedJob, RevisionWish } from '../../manifests/planned-job.ts';
import { readPlace } from '../../policy/promises/places.ts';
import type { Batch, Job } from '../db/entities/job.ts';
import type { Revision } from '../db/entities/revision.ts';

type Sketch = Pick<Job, 'id' | 'project_id' | 'name' | 'dialect' | 'document_sha256'> & {
  readonly images: readonly Job['images'][number][];
  readonly options: Omit<Job['options'], 'allocation_id'>;
  /** Of a job of a revision. */
  readonly build?: RevisionWish | undefined;
  /** Of a job of a manifest that says what may be run, and not what is. */
  readonly batch?: Batch | undefined;
};

export interface JobPlace {
  readonly allocationId: string;
  /** Of all its containers together. */
  readonly resources: Pick<JobPlan['resources'], 'cpu_cores' | 'memory_gib'>;
  /** Which attempt of the job it is for; the first if left out. */
  readonly attempt?: number;
  /** Parts of plans that its agent carries out; all if left out. */
  readonly parts?: readonly string[];
}

export function planned(
  read: AcceptedJob,
  { id, project_id, name, dialect, document_sha256, images, options, build, batch }: Sketch,
  { allocationId, resources, attempt = 1, parts }: JobPlace,
): PlannedJob {
  const { sandbox, gpu_count, on_failure, deadline_seconds, keep, shm_gib, build_network = 'none', allow } = options;
  const { cpu_cores, memory_gib } = resources;
  const job = read.plan({
    identity: {
      ...{ project_id, job_id: id, allocation_id: allocationId, display_name: name, dialect, document_sha256 },
      attempt,
    },
    ...{ sandbox, on_failure, deadline_seconds, keep },
    ...(build && { build: { ...build, network: build_network } }),
    ...(batch && { batch }),
    ...(parts && { parts }),
    resources: { gpu_count, cpu_cores, memory_gib, ...(shm_gib === undefined ? {} : { shm_gib }) },
    pins: Object.fromEntries(
      images.map(({ name: whole, reference, media_type }) => [whole, { reference, media_type }]),
    ),
  });
  return allow ? { ...job, plan: { ...job.plan, network: 'allow_list', egress: egressOf(allow) } } : job;
}

/** Only of addresses that were accepted. */
function egressOf(allow: readonly string[]): NonNullable<JobPlan['egress']> {
  const rules = allow.flatMap((address) => {
    const read = readPlace(address);
    return read.ok ? [read.rule] : [];
  });
  return { rules, any_public: [] };
}

/** What a job of that revision is built of, and given. */
export function revisionWish({ sha256, bytes, bases }: Revision, payload: string | undefined): RevisionWish {
  return {
    ...{ revision_sha256: sha256, revision_bytes: bytes, ...(payload !== undefined && { payload }) },
    bases: Object.fromEntries(bases.map(({ from, reference }) => [from, reference])),
  };
}

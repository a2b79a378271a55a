/**
 * Services that the jobs of one revision share on a host. They are a group of their own, with the network in which those jobs
 * run, and its name is made of all that it belongs to: so no container gets there without being labelled as one of the same
 * allocation, project and revision, and of services that are made of the same.
 */
import { createHash } from 'node:crypto';
import type { JobPlan } from '../contract/job-plan.ts';
import { labels } from '../contract/names.ts';
import { canonicalJson } from './container-spec.ts';
import { revisionsOf } from './plan-revisions.ts';
import { isServiceGroup } from './service-group-id.ts';

const hashPattern = /^[0-9a-f]{64}$/;

export interface ServiceGroup {
  /** What its containers, its volumes and its network have in the place of a job's id. */
  readonly id: string;
  readonly revision: string;
  /** sha256, in hex, of what its services are made of. */
  readonly made_of: string;
}

/** Undefined for what is labelled as no part of a group. */
export function groupOfLabels(of: Readonly<Record<string, string>>): string | undefined {
  const { [labels.allocation]: allocation, [labels.project]: project } = of;
  const { [labels.revision]: revision = '', [labels.shared]: madeOf = '' } = of;
  if (!hashPattern.test(revision) || !hashPattern.test(madeOf)) return undefined;
  return `svc-${sha256(JSON.stringify([allocation, project, revision, madeOf])).slice(0, 24)}`;
}

/** The group that the job of this plan uses, or is; undefined for a job that shares nothing. */
export function groupOfPlan(plan: JobPlan): ServiceGroup | undefined {
  const { allocation_id, project_id } = plan.identity;
  const [revision = ''] = revisionsOf(plan);
  if (sharedServices(plan).length === 0) return undefined;
  const made_of = madeOf(plan);
  const id = groupOfLabels({
    ...{ [labels.allocation]: allocation_id, [labels.project]: project_id },
    ...{ [labels.revision]: revision, [labels.shared]: made_of },
  });
  return id === undefined ? undefined : { id, revision, made_of };
}

/** Those of a plan that are parts of its group; all of them where it is that of a group. */
export function sharedServices({ identity, services }: Pick<JobPlan, 'identity' | 'services'>): JobPlan['services'] {
  return isServiceGroup(identity.job_id) ? services : services.filter(({ scope }) => scope === 'project');
}

/** All that tells one container of them from another: jobs that would have begun other ones have others. */
function madeOf(plan: JobPlan): string {
  const { sandbox, read_only_root, network, log_limits, stop_grace_seconds, images, caches = [] } = plan;
  const services = sharedServices(plan).map(({ scope: _, ...service }) => service);
  const names = new Set(services.flatMap(({ mounts }) => mounts.map(({ volume }) => volume)));
  const its = new Set(services.map(({ image }) => image));
  return sha256(
    canonicalJson({
      ...{ sandbox, read_only_root, network, log_limits, stop_grace_seconds, services },
      images: images.filter(({ id }) => its.has(id)).map(({ id, source }) => ({ id, source })),
      caches: caches.filter(({ name }) => names.has(name)),
    }),
  );
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

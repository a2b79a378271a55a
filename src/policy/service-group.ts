/**
 * Services that the jobs of one revision share on a host. They are a group of their own, with the network in which those jobs
 * run, and its name is made of all that it belongs to: so no container gets there without being labelled as one of the same
 * allocation, project and revision.
 */
import { createHash } from 'node:crypto';
import type { JobPlan } from '../contract/job-plan.ts';
import { labels } from '../contract/names.ts';
import { revisionsOf } from './plan-revisions.ts';
import { isServiceGroup } from './service-group-id.ts';

const revisionPattern = /^[0-9a-f]{64}$/;

export interface ServiceGroup {
  /** What its containers, its volumes and its network have in the place of a job's id. */
  readonly id: string;
  readonly revision: string;
}

/** Undefined for what is labelled as no part of a revision. */
export function groupOfLabels(of: Readonly<Record<string, string>>): string | undefined {
  const { [labels.allocation]: allocation, [labels.project]: project, [labels.revision]: revision = '' } = of;
  if (!revisionPattern.test(revision)) return undefined;
  const owner = createHash('sha256')
    .update(JSON.stringify([allocation, project, revision]))
    .digest('hex');
  return `svc-${owner.slice(0, 24)}`;
}

/** The group that the job of this plan uses, or is; undefined for a job that shares nothing. */
export function groupOfPlan(plan: JobPlan): ServiceGroup | undefined {
  const { identity, services } = plan;
  const [its = ''] = revisionsOf(plan);
  if (!isServiceGroup(identity.job_id) && services.every(({ scope }) => scope !== 'project')) return undefined;
  const { allocation_id, project_id } = identity;
  const id = groupOfLabels({
    ...{ [labels.allocation]: allocation_id, [labels.project]: project_id, [labels.revision]: its },
  });
  return id === undefined ? undefined : { id, revision: its };
}

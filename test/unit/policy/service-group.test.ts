/** Which jobs share services: those that would have begun the same ones. */
import { describe, expect, it } from 'vitest';
import type { JobPlan } from '../../../src/contract/job-plan.ts';
import { labels } from '../../../src/contract/names.ts';
import { groupOfLabels, groupOfPlan } from '../../../src/policy/service-group.ts';
import { jobIdentity, plan, service, step, words } from '../../support/job-plans.ts';

const cache = { name: 'kept', revision_sha256: 'a'.repeat(64), class: 'data', seed_from_image: false } as const;
const model = { ...service('model'), scope: 'project' } as const;
const sharing = (over: Partial<JobPlan> = {}) => plan({ caches: [cache], services: [model, service('own')], ...over });
const groupOf = (over: Partial<JobPlan> = {}) => groupOfPlan(sharing(over))?.id;
const changed = (over: object) => ({ services: [{ ...model, ...over }, service('own')] });

describe('services that are shared', () => {
  it.each<[string, Partial<JobPlan>]>([
    ['whatever else it does', { steps: [step('other', { command: words('x') })], deadline_seconds: 7 }],
    ['with other services of its own', { services: [model] }],
    [
      'with more cores and memory, of which they get no more',
      { resources: { gpu_count: 1, cpu_cores: 9, memory_gib: 9 } },
    ],
    ['with other caches that they do not have', { caches: [{ ...cache, max_bytes: 1 }] }],
    ['of another name', { identity: { ...jobIdentity, job_id: 'job-2', display_name: 'x' } }],
  ])('are the same for a job %s', (_, over) => {
    expect(groupOf()).toMatch(/^svc-[0-9a-f]{24}$/);
    expect(groupOf(over)).toBe(groupOf());
  });

  it.each<[string, Partial<JobPlan>]>([
    ['another project', { identity: { ...jobIdentity, project_id: 'x' } }],
    ['another allocation', { identity: { ...jobIdentity, allocation_id: 'x' } }],
    ['another revision', { caches: [{ ...cache, revision_sha256: 'b'.repeat(64) }] }],
    ['another size of them', changed({ resources: { gpu_count: 0, cpu_cores: 2, memory_gib: 1 } })],
    ['another command of theirs', changed({ command: words('x') })],
    ['more of them', { services: [model, { ...model, id: 'second' }] }],
    ['another sandbox', { sandbox: 'gvisor' }],
    ['other bounds of logs', { log_limits: { max_size_mib: 1, max_files: 2 } }],
    ['a root that nobody writes to', { read_only_root: true }],
    ['another time to stop', { stop_grace_seconds: 9 }],
  ])('are others for a job of %s', (_, over) => {
    expect(groupOf(over)).toMatch(/^svc-[0-9a-f]{24}$/);
    expect(groupOf(over)).not.toBe(groupOf());
  });

  it('have the name that is made of their labels, and as a job of their own the same', () => {
    const { id = '', revision = '', made_of = '' } = groupOfPlan(sharing()) ?? {};
    const { project_id, allocation_id } = jobIdentity;
    const of = { [labels.project]: project_id, [labels.allocation]: allocation_id };

    expect(groupOfLabels({ ...of, [labels.revision]: revision, [labels.shared]: made_of })).toBe(id);
    expect(groupOfLabels({ ...of, [labels.revision]: revision })).toBeUndefined();
    const { scope: _, ...alone } = model;
    const itself = sharing({ identity: { ...jobIdentity, job_id: id }, services: [alone], steps: [] });
    expect(groupOfPlan(itself)).toEqual({ id, revision, made_of });
  });

  it('are none where nothing outlives the job', () => {
    expect(groupOf({ services: [service('own')] })).toBeUndefined();
  });
});

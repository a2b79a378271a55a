import { describe, expect, it } from 'vitest';
import { readComputalotJob } from '../../../../src/manifests/computalot/read-job.ts';
import { sketchWish } from '../../../../src/manifests/sketch-wish.ts';
import { errorsOfPlan } from '../../../../src/policy/check-job-plan.ts';
import type { StoredOutput } from '../../../../src/server/db/entities/job-output.ts';
import { resumptionOf } from '../../../../src/server/jobs/resume-inputs.ts';
import { whole } from '../../../support/project-manifests.ts';

const outputs = [
  { name: 'ckpt', volume: 'artifacts', path: 'ckpt/latest.pt', type: 'checkpoint' as const, required: false },
  { name: 'model', volume: 'artifacts', path: 'model.pt', type: 'artifact' as const, required: true },
];

const known = ['folder_inputs'];

const row = (sha: string, over: Partial<StoredOutput> = {}): StoredOutput => ({
  ...{ id: sha, job_id: 'job-1', project_id: 'p1', node_id: 'node-1', name: 'ckpt', kind: 'checkpoint' },
  ...{ sha256: sha.repeat(64), bytes: 7, media_type: 'application/octet-stream', file_name: 'latest.pt' },
  ...{ state: 'stored', reason: null, offered_at: '2026-11-27T10:00:00Z', stored_at: '2026-11-27T10:00:01Z' },
  ...over,
});

describe('an attempt that follows another', () => {
  it('goes on from the newest checkpoint that is here, and never from one that is only announced', () => {
    const newer = row('b', { stored_at: '2026-11-27T10:05:00Z' });
    const announced = row('c', { state: 'pending', stored_at: null });
    const artifact = row('d', { name: 'model', kind: 'artifact' });

    const { inputs, from, told } = resumptionOf({ outputs }, [newer, row('a'), announced, artifact], known);

    expect(from).toEqual([{ name: 'ckpt', sha256: 'b'.repeat(64) }]);
    expect(inputs).toMatchObject([
      {
        ...{ volume: 'artifacts', required: true },
        source: { kind: 'output', job_id: 'job-1', sha256: 'b'.repeat(64), bytes: 7, path: 'ckpt/latest.pt' },
      },
    ]);
    expect(told).toContain('goes on from ckpt');
  });

  it('of a project has a plan that a host takes, with each checkpoint where its task has left it (C-70)', () => {
    const read = readComputalotJob(whole);
    if (!read.ok) throw new Error(JSON.stringify(read.errors));
    const { plan } = read.plan(sketchWish('computalot'));

    const { inputs } = resumptionOf(plan, [row('a', { name: 'checkpoint' })], known);

    expect(errorsOfPlan({ ...plan, inputs: [...plan.inputs, ...inputs] })).toEqual([]);
    expect(inputs).toMatchObject([{ volume: 'artifacts', source: { name: 'checkpoint', path: 'ckpt/latest.pt' } }]);
    expect(plan.steps[0]?.mounts).toContainEqual(expect.objectContaining({ volume: 'artifacts', read_only: false }));
  });

  it('goes on from one that is a folder as one', () => {
    const { inputs, told } = resumptionOf({ outputs }, [row('a', { media_type: 'application/x-tar' })], known);

    expect(inputs).toMatchObject([{ source: { path: 'ckpt/latest.pt', media_type: 'application/x-tar' } }]);
    expect(told).toContain('goes on from ckpt');
  });

  it('begins anew where the agent refuses folders, and goes on from its files all the same', () => {
    const folder = row('a', { media_type: 'application/x-tar' });
    const two = [...outputs, { ...outputs[0], name: 'other' } as (typeof outputs)[number]];

    const { inputs, told } = resumptionOf({ outputs }, [folder], []);
    const some = resumptionOf({ outputs: two }, [folder, row('b', { name: 'other' })], ['shared_services']);

    expect(inputs).toEqual([]);
    expect(told).toMatch(/begins anew: .*takes no folder, as ckpt is one/);
    expect(some.from.map(({ name }) => name)).toEqual(['other']);
  });

  it('begins anew where none was here, and says so', () => {
    const { inputs, from, told } = resumptionOf({ outputs }, [row('c', { state: 'pending', stored_at: null })], known);

    expect([inputs, from]).toEqual([[], []]);
    expect(told).toMatch(/begins anew: .*no checkpoint/);
  });
});

/** Job definitions as their authors write them, and the plans that they become: `fixtures/manifests/nosana/NAME.{in,out}.json`. */
import { globSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, it } from 'vitest';
import { JobPlan } from '../../../../src/contract/job-plan.ts';
import { judge } from '../../../../src/contract/validate.ts';
import { readDefinitionText } from '../../../../src/manifests/nosana/read-definition.ts';
import { planOf } from '../../../../src/manifests/nosana/to-plan.ts';

const folder = join(resolve(import.meta.dirname, '../../../..'), 'fixtures/manifests/nosana');
const names = globSync('*.in.json', { cwd: folder }).map((file) => file.replace('.in.json', ''));
const digest = `sha256:${'ab'.repeat(32)}`;
const wish = {
  identity: {
    ...{ project_id: 'project', job_id: 'job', allocation_id: 'allocation', display_name: 'a job' },
    ...{ dialect: 'nosana' as const, document_sha256: '0'.repeat(64) },
  },
  sandbox: 'runc' as const,
  resources: { gpu_count: 1, cpu_cores: 4, memory_gib: 8 },
  ...{ on_failure: 'stop' as const, deadline_seconds: 3600, keep: false, pins: {} },
};

it('is shown by 40 pairs and more', () => {
  expect(names.length).toBeGreaterThanOrEqual(40);
});

it.each(names)('%s', async (name) => {
  const read = readDefinitionText(readFileSync(join(folder, `${name}.in.json`), 'utf8'));
  if (!read.ok) throw new Error(JSON.stringify(read.errors));
  const { plan, unresolved, secrets } = planOf(read.definition, wish);

  const written = {
    warnings: read.warnings.map(({ path, code }) => `${path} ${code}`),
    ...{ unresolved, plan, secrets: secrets.map(({ value, ...of }) => ({ ...of, keys: Object.keys(value) })) },
  };
  await expect(`${JSON.stringify(written, null, 2)}\n`).toMatchFileSnapshot(join(folder, `${name}.out.json`));
  // No secret of a definition is in its plan.
  for (const { value } of secrets) {
    const hidden = Object.entries(value).filter(([key]) => !['username', 'access_key_id'].includes(key));
    for (const [, secret] of hidden) expect(JSON.stringify(plan)).not.toContain(`"${secret}"`);
  }
  const pinned = {
    ...plan,
    images: plan.images.map((image) => ({
      ...image,
      source: { ...image.source, reference: image.source.reference.replace(/(:[\w.-]+)?$|@.*$/, `@${digest}`) },
    })),
  };
  expect(judge(JobPlan, pinned)).toMatchObject({ ok: true });
});

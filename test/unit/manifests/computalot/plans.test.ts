/** Project manifests as their authors write them, and the plans that they become: `fixtures/manifests/computalot/NAME.{in,out}.json`. */
import { globSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { resolveEnv } from '../../../../src/jobs/resolve-values.ts';
import { variableOf } from '../../../../src/manifests/computalot/names.ts';
import { readComputalotJob } from '../../../../src/manifests/computalot/read-job.ts';
import { readManifestText } from '../../../../src/manifests/computalot/read-manifest.ts';
import { planOf } from '../../../../src/manifests/computalot/to-plan.ts';
import type { PlanWish } from '../../../../src/manifests/planned-job.ts';
import { errorsOfPlan } from '../../../../src/policy/check-job-plan.ts';
import { changed, smallest, whole } from '../../../support/project-manifests.ts';

const folder = join(resolve(import.meta.dirname, '../../../..'), 'fixtures/manifests/computalot');
const names = globSync('*.in.json', { cwd: folder }).map((file) => file.replace('.in.json', ''));
const wish: PlanWish = {
  identity: {
    ...{ project_id: 'project', job_id: 'job', allocation_id: 'allocation', display_name: 'a job' },
    ...{ dialect: 'computalot', document_sha256: '0'.repeat(64) },
  },
  sandbox: 'gvisor',
  resources: { gpu_count: 1, cpu_cores: 4, memory_gib: 8 },
  ...{ on_failure: 'stop', deadline_seconds: 3600, keep: false, pins: {} },
  build: {
    ...{ revision_sha256: 'ab'.repeat(32), revision_bytes: 10_240, payload: '{"epochs":3}' },
    bases: { 'python:3.11': `docker.io/library/python@sha256:${'cd'.repeat(32)}` },
  },
};
const planned = (document: object, more: Partial<PlanWish> = {}) => {
  const read = readComputalotJob(document);
  if (!read.ok) throw new Error(JSON.stringify(read.errors));
  return read.plan({ ...wish, ...more });
};

describe('the plan of a manifest', () => {
  it.each(names)('%s', async (name) => {
    const read = readManifestText(readFileSync(join(folder, `${name}.in.json`), 'utf8'));
    if (!read.ok) throw new Error(JSON.stringify(read.errors));
    const { plan, unresolved } = planOf(read.manifest, wish);

    const written = { warnings: read.warnings.map(({ path, code }) => `${path} ${code}`), unresolved, plan };
    await expect(`${JSON.stringify(written, null, 2)}\n`).toMatchFileSnapshot(join(folder, `${name}.out.json`));
    expect(errorsOfPlan(plan)).toEqual([]);
  });

  it('is one with every field as well, and one that a host takes', () => {
    expect(errorsOfPlan(planned(whole).plan)).toEqual([]);
  });

  it('says what is unresolved where there is no revision', () => {
    const { unresolved } = planned(smallest, { build: undefined as never });

    expect(unresolved).toEqual([{ path: '', reference: 'the revision that the files of the project become' }]);
  });

  it('runs under gVisor with a root that nobody writes to, whatever is wished (C-78)', () => {
    expect(planned(smallest, { sandbox: 'runc' }).plan).toMatchObject({ sandbox: 'gvisor', read_only_root: true });
  });

  it('keeps the names of caches that are called as the platform calls its volumes, and tells its task where they are (C-56)', () => {
    const cache = (name: string, path: string) => ({ name, scope: 'project_digest', path });
    const data = { name: 'scratch', source: 'huggingface', uri: 'hf://org/m@v1', path: '/m' };
    const document = {
      ...smallest,
      cache_mounts: [cache('scratch', '/c/1'), cache('data-scratch', '/c/2'), cache('payload', '/c/3')],
      data_sources: [data],
    };

    const { plan } = planned(document);

    expect(errorsOfPlan(plan)).toEqual([]);
    expect(plan.caches?.map(({ name }) => name)).toEqual(['scratch', 'data-scratch', 'payload']);
    expect(plan.steps[0]?.env.values['COMPUTALOT_CACHE_DATA_SCRATCH_DIR']).toBe('/c/2');
  });

  it('tells its task of every service, as a list and each by its own variables, and no service of another (C-36, C-37)', () => {
    const { plan } = planned(changed(whole, '/runtime/services/1', { name: 'side-car', command: ['x'] }));

    const { env = { values: {}, merge: [] } } = plan.steps[0] ?? {};
    const job = { id: 'job', host: 'node', project: 'project' };
    const nothing = { result: () => undefined, host: () => undefined, endpoint: () => undefined, job };
    const values = resolveEnv(env, { ...nothing, service: (id) => (id === 'side-car' ? 'ended' : 'ready') });
    const rest = { scope: 'task', state: 'ready' };
    expect(JSON.parse(values['COMPUTALOT_RUNTIME_SERVICES_JSON'] ?? '')).toEqual([
      { name: 'Embed_der', host: 'embed-der', restart: 'on_failure', ...rest },
      { name: 'side-car', host: 'side-car', restart: 'never', ...rest, state: 'ended' },
    ]);
    expect(values).toMatchObject({
      ...{ COMPUTALOT_SERVICE_EMBED_DER_HOST: 'embed-der', COMPUTALOT_SERVICE_SIDE_CAR_HOST: 'side-car' },
      ...{ COMPUTALOT_SERVICE_SIDE_CAR_NAME: 'side-car', COMPUTALOT_SERVICE_SIDE_CAR_STATE: 'ended' },
    });
    const names = plan.services.flatMap(({ env }) => Object.keys(env.values));
    expect(names.filter((name) => /SERVICE/.test(name))).toEqual([]);
  });

  it('gives a service that outlives it scratch space and caches alone (C-30)', () => {
    const [first] = whole.runtime.services;
    const { plan } = planned(changed(whole, '/runtime/services', [{ ...first, scope: 'project' }]));

    expect(errorsOfPlan(plan)).toEqual([]);
    expect(plan.services).toMatchObject([{ scope: 'project' }]);
    const caches = plan.caches?.map(({ name }) => name) ?? [];
    expect(plan.services[0]?.mounts.map(({ volume }) => volume)).toEqual(['scratch', ...caches]);
    expect(Object.keys(plan.services[0]?.env.values ?? {})).not.toContain('COMPUTALOT_TASK_PAYLOAD');
    expect(plan.steps[0]?.env.values).toMatchObject({
      [`COMPUTALOT_SERVICE_${variableOf(first?.name ?? '')}_SCOPE`]: 'project',
    });
  });

  it('has services of both scopes in one project, each with what is its (C-30)', () => {
    const [first] = whole.runtime.services;
    const services = [
      { ...first, scope: 'project' },
      { name: 'helper', command: ['x'] },
    ];
    const { plan } = planned(changed(whole, '/runtime/services', services));

    expect(errorsOfPlan(plan)).toEqual([]);
    expect(plan.services.map(({ scope = 'job' }) => scope)).toEqual(['project', 'job']);
    expect(plan.services[1]?.mounts).toEqual(plan.steps[0]?.mounts);
    expect(plan.steps[0]?.env.values).toMatchObject({
      ...{ COMPUTALOT_SERVICE_EMBED_DER_SCOPE: 'project', COMPUTALOT_SERVICE_HELPER_SCOPE: 'task' },
    });
  });
});

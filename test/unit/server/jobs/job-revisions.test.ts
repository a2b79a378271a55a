/** Jobs of a revision: its manifest, its files and what the job alone says become the plan of a host that may build it. */

import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { AgentError } from '../../../../src/contract/failures.ts';
import type { Gpu } from '../../../../src/contract/gpus.ts';
import type { JobPlan } from '../../../../src/contract/job-plan.ts';
import { documentHash } from '../../../../src/manifests/job-secrets.ts';
import { errorsOfPlan } from '../../../../src/policy/check-job-plan.ts';
import type { JobDocument } from '../../../../src/server/db/entities/job.ts';
import { sampleGpu } from '../../../support/gpus.ts';
import { jobServer } from '../../../support/job-server.ts';
import { inventory } from '../../../support/launch-samples.ts';
import { haveRevision } from '../../../support/revision-samples.ts';

const server = await jobServer();
const { call, store, registry, imageDigest } = server;
const host = await server.connect();
const reference = `${registry.host}/team/hello@${imageDigest}`;
const bases = [{ from: 'python:3.11', reference, media_type: 'application/vnd.oci.image.manifest.v1+json' as const }];
const manifest = {
  version: 1,
  runtime: { kind: 'oci', sandbox: 'gvisor', workdir: '/workspace' },
  entrypoint: { command: ['python', 'job.py'] },
  requirements: { cpu: 1, memory_mb: 512, storage_gb: 2 },
  artifacts: { outputs: [{ name: 'checkpoint', path: 'ckpt/latest.pt', type: 'checkpoint' }] },
};
const submit = (body: object) => call('POST', '/api/v1/jobs', { as: 'member', body });
const wrongOf = ({ body }: { body: { error: { errors: { path: string; message: string }[] } } }) =>
  body.error.errors.map(({ path }) => path);

/** What its host says that it can do. */
async function offer(
  offers: {
    sandboxes: ('runc' | 'gvisor')[];
    builds: boolean;
    build_network?: boolean;
    gvisor_cards?: boolean;
    plans?: string[];
  },
  gpus?: Gpu[],
): Promise<void> {
  await store.write(async (tx) => {
    const node = await tx.nodes.get('node-1');
    const runtime = node?.runtime ?? node?.inventory?.runtime;
    if (!node || !runtime) throw new Error('the host has said nothing');
    // Room for all of these jobs: none of them ends.
    const resources = { ...runtime.resources, disk_gib: { total: 1000, reserved: 0, used: 0, free: 1000 } };
    await tx.nodes.put({ ...node, runtime: { ...runtime, resources, offers, ...(gpus && { gpus }) } });
  });
}

describe('a job of a revision', () => {
  it('goes to a host that offers gVisor and builds, and to no other (C-4, C-8)', async () => {
    const { sha256 } = await haveRevision(server, Buffer.from('files'), { bases }, manifest);
    await offer({ sandboxes: ['runc', 'gvisor'], builds: false });
    const refused = await submit({ revision: sha256 });
    expect(refused.body.error).toMatchObject({
      code: 'job.unfit',
      message: expect.stringContaining('images be built'),
    });
    await offer({ sandboxes: ['runc'], builds: true });
    expect((await submit({ revision: sha256 })).body.error.message).toContain('offers gvisor');

    await offer({ sandboxes: ['runc', 'gvisor'], builds: true });
    const { status, body } = await submit({
      ...{ revision: sha256, name: 'Train', payload: { epochs: 3 }, requirements: { memory_mb: 1024 } },
      options: { checkpointing: { resume_from_latest: true } },
    });

    expect(status).toBe(201);
    expect(body).toMatchObject({ name: 'Train', dialect: 'computalot', steps: [{ id: 'task', state: 'pending' }] });
    const plan = (await host.agent.accept()).params as JobPlan;
    expect(errorsOfPlan(plan)).toEqual([]);
    const reading = call('GET', `/api/v1/jobs/${body.id}/logs?step=build`, { as: 'viewer' });
    const { stream, source } = await host.agent.next('logs_open');
    expect(source).toEqual({ kind: 'service', id: body.id, service: 'build' });
    // As an agent of before does, for which a build has no log.
    host.agent.send({ type: 'logs_end', stream, failure: new AgentError('service.not_found').toFailure() });
    expect((await reading).body).toContain('where its agent is an older one, the log is here when the build is over');
    expect((await call('GET', `/api/v1/jobs/${body.id}/logs?step=build-7`, { as: 'viewer' })).status).toBe(404);
    expect(plan).toMatchObject({ sandbox: 'gvisor', resources: { gpu_count: 0, cpu_cores: 1, memory_gib: 1 } });
    expect(plan.images[0]?.source).toMatchObject({
      ...{ kind: 'build', revision_sha256: sha256, revision_bytes: 5, bases: { 'python:3.11': reference } },
    });
    expect(plan.inputs[0]?.source).toMatchObject({ kind: 'inline', text: '{"epochs":3}' });
    const kept = await call('GET', `/api/v1/jobs/${body.id}/document`, { as: 'viewer' });
    expect(kept.body).toMatchObject({ document: manifest, requirements: { memory_mb: 1024 } });
    const there = await store.read((tx) => tx.jobs.get(body.id));
    expect(there).toMatchObject({ revision_sha256: sha256, needs: { disk_gib: 2, builds: true, sandbox: 'gvisor' } });
    const removed = await call('DELETE', `/api/v1/projects/p1/revisions/${sha256}`, { as: 'member' });
    expect(removed.body.error.code).toBe('revision.in_use');
  });

  it('is of the manifest as it was pushed, whatever it asks for itself: that file has the hash which its receipt names', async () => {
    const { requirements: _none, ...bare } = manifest;
    const { sha256 } = await haveRevision(server, Buffer.from('bare'), { bases }, bare);
    await offer({ sandboxes: ['gvisor'], builds: true });
    // More than is free: it waits.
    const options = { resources: { cpu_cores: 8 } };

    for (const own of [{}, { requirements: { memory_mb: 128 } }]) {
      const { body: job } = await submit({ revision: sha256, options, ...own });
      const kept = await call('GET', `/api/v1/jobs/${job.id}/document`, { as: 'viewer' });
      await call('POST', `/api/v1/jobs/${job.id}/cancel`, { as: 'member' });

      expect(job.document_sha256).toBe(documentHash(bare, {}));
      expect(kept.body).toEqual({ dialect: 'computalot', sha256: job.document_sha256, document: bare, ...own });
    }
  });

  it('that shares services goes to no agent of before they could be shared', async () => {
    const services = [{ name: 'counter', command: ['python', 'counter.py'], scope: 'project' }];
    const sharing = { ...manifest, runtime: { ...manifest.runtime, services } };
    const { sha256 } = await haveRevision(server, Buffer.from('shared'), { bases }, sharing);
    await offer({ sandboxes: ['gvisor'], builds: true });
    const refused = await submit({ revision: sha256 });
    await offer({ sandboxes: ['gvisor'], builds: true, plans: ['shared_services', 'service_states'] });
    const taken = await submit({ revision: sha256 });

    expect(refused.body.error.message).toContain('lets jobs share services; update it');
    expect(taken.status).toBe(201);
    expect((await host.agent.accept()).params).toMatchObject({ services: [{ scope: 'project' }] });
  });

  it('that asks for a card goes to a host that gives gVisor cards, of the size that they are sold as (C-39, C-40, C-41)', async () => {
    const requirements = { profile: 'gpu', gpu_count: 1, gpu_memory_mb: 24_576, cpu: 1, memory_mb: 1024 };
    const { sha256 } = await haveRevision(server, Buffer.from('card'), { bases }, { ...manifest, requirements });
    const sold = [sampleGpu({ memory_mib: 24_564 })];
    await offer({ sandboxes: ['runc', 'gvisor'], builds: true }, sold);
    const before = await submit({ revision: sha256 });
    await offer({ sandboxes: ['runc', 'gvisor'], builds: true, gvisor_cards: false }, sold);
    const closed = await submit({ revision: sha256 });
    await offer({ sandboxes: ['gvisor'], builds: true, gvisor_cards: true }, [sampleGpu({ vendor: 'amd' })]);
    const strange = await submit({ revision: sha256 });
    await offer({ sandboxes: ['gvisor'], builds: true, gvisor_cards: true }, sold);
    const taken = await submit({ revision: sha256, requirements: { gpu_memory_mb: 24_570 } });

    for (const { body } of [before, closed]) {
      expect(body.error).toMatchObject({
        ...{ code: 'job.unfit', message: expect.stringContaining('a host that gives NVIDIA cards to gVisor') },
      });
      expect(body.error.message).toContain('which its operator switches on there (`gvisor_cards`)');
    }
    expect(strange.body.error.message).toContain('1 GPU, of 0');
    expect(taken.status).toBe(201);
    const plan = (await host.agent.accept()).params as JobPlan;
    // What the job says stands in the place of what its project says, and the rest is inherited (C-38).
    expect(plan).toMatchObject({ sandbox: 'gvisor', gpu_memory_mib: 24_570, resources: { gpu_count: 1 } });
  });

  it('that asks for no card goes to a host without any, whatever memory of one its project says (C-38, C-41)', async () => {
    const requirements = { gpu_memory_mb: 8192, cpu: 0.1, memory_mb: 64 };
    const { sha256 } = await haveRevision(server, Buffer.from('no card'), { bases }, { ...manifest, requirements });
    await offer({ sandboxes: ['gvisor'], builds: true }, []);

    const taken = await submit({ revision: sha256, requirements: { gpu_count: 0 } });

    expect([taken.status, taken.body.needs]).toMatchObject([201, { gpu_count: 0, gpu_memory_mib: 0 }]);
    const { gpu_memory_mib, resources } = (await host.agent.accept()).params as JobPlan;
    expect([gpu_memory_mib, resources.gpu_count]).toEqual([undefined, 0]);
  });

  it('whose build is to have a network goes to a host that gives it one, and to no other', async () => {
    const { sha256 } = await haveRevision(server, Buffer.from('online'), { bases }, manifest);
    const asking = (build_network: string) => submit({ revision: sha256, options: { build_network } });
    const networkOf = async () => {
      const { images } = (await host.agent.accept()).params as JobPlan;
      return images.map(({ source }) => source.kind === 'build' && source.network);
    };
    await offer({ sandboxes: ['gvisor'], builds: true });
    const before = await asking('bridge');
    await offer({ sandboxes: ['gvisor'], builds: true, build_network: false });
    const closed = await asking('bridge');

    for (const { body } of [before, closed]) expect(body.error.message).toContain('a host that gives builds a network');
    expect([(await asking('none')).status, await networkOf()]).toEqual([201, ['none']]);
    await offer({ sandboxes: ['gvisor'], builds: true, build_network: true });
    expect([(await submit({ revision: sha256 })).status, await networkOf()]).toEqual([201, ['none']]);
    expect([(await asking('bridge')).status, await networkOf()]).toEqual([201, ['bridge']]);
  });

  it('that fits on no disk is told what most of it is for (C-45)', async () => {
    await offer({ sandboxes: ['gvisor'], builds: true });
    const large = bases.map((base) => ({ ...base, bytes: 2 ** 40 }));
    const { sha256 } = await haveRevision(server, Buffer.from('large'), { bases: large }, manifest);
    const refused = await submit({ revision: sha256 });
    expect(refused.body.error.code).toBe('job.unfit');
    expect(refused.body.error.message).toContain('1024 GiB of disk (most of it, 1024, for its image as it is packed)');

    // A host that has built it knows better.
    await store.write(async (tx) => {
      const node = await tx.nodes.get('node-1');
      const revision = await tx.revisions.find({ project_id: 'p1', sha256 });
      if (!node || !revision) throw new Error('they are gone');
      const { id: node_id, runtime } = node;
      const image = { kind: 'image' as const, project_id: 'p1', revision_sha256: sha256, bytes: 3 * 2 ** 40 };
      const about = { id: '0'.repeat(24), name: null, class: null, max_bytes: null, used_at: null, in_use: false };
      if (!runtime) throw new Error('the host has said nothing');
      await tx.nodes.put({ ...node, inventory: { ...inventory({ runtime }), kept: [{ ...image, ...about }] } });
      await tx.revisions.put({ ...revision, prepared_on: [{ node_id, at: '2026-11-27T10:00:00.000Z' }] });
    });
    expect((await submit({ revision: sha256 })).body.error.message).toContain('(most of it, 3072, for its image)');

    const cached = { name: 'models', scope: 'project_digest', path: '/cache', max_bytes: 5 * 2 ** 40 };
    const small = await haveRevision(server, Buffer.from('small'), { bases }, { ...manifest, cache_mounts: [cached] });
    const asked = await submit({ revision: small.sha256, requirements: { storage_gb: 8192 } });
    expect(asked.body.error.message).toContain('8192 GiB of disk (most of it, 5120, for its caches)');
  });

  it('is one thing or the other, and says what goes with which', async () => {
    const { sha256 } = await haveRevision(server, Buffer.from('either'), {}, manifest);

    const options = { build_network: 'bridge' };
    expect(wrongOf(await submit({ payload: {}, requirements: {}, options }))).toEqual([
      ...['/document', '/payload', '/requirements', '/options/build_network'],
    ]);
    expect(wrongOf(await submit({ revision: sha256, document: '{}', dialect: 'nosana' }))).toEqual([
      ...['/document', '/dialect'],
    ]);
    expect(wrongOf(await submit({ revision: sha256, options: { sandbox: 'runc' } }))).toEqual(['/options/sandbox']);
    const odd = await submit({ revision: sha256, requirements: { profile: 'cpu', gpu_count: 1 } });
    expect([odd.status, ...wrongOf(odd)]).toEqual([422, '/requirements/gpu_count']);
    const services = [{ name: 'model', command: ['x'], scope: 'project' }];
    const runtime = { ...manifest.runtime, services };
    const shared = (await haveRevision(server, Buffer.from('one model'), {}, { ...manifest, runtime })).sha256;
    expect(wrongOf(await submit({ revision: shared, options }))).toEqual(['/options/build_network']);
    const small = await submit({ revision: shared, requirements: { cpu: 0.1, memory_mb: 64 } });
    expect([small.status, ...wrongOf(small)]).toEqual([422, '/requirements/cpu', '/requirements/memory_mb']);
  });

  it('has a payload of at most 256 KiB', async () => {
    const { sha256 } = await haveRevision(server, Buffer.from('payload'), {}, manifest);

    const refused = await submit({ revision: sha256, payload: 'x'.repeat(256 * 1024) });

    expect([refused.status, ...wrongOf(refused)]).toEqual([422, '/payload']);
  });

  it('has its payload as it was written, also numbers that are none of this language', async () => {
    const { sha256 } = await haveRevision(server, Buffer.from('exact'), {}, manifest);
    const payload = '{"seed": 9007199254740993, "far": [1e999, -0, 1.0], "text": "1e999"}';
    const answer = await fetch(`${server.url}/api/v1/jobs`, {
      ...{ method: 'POST', body: `{"revision": "${sha256}", "payload": ${payload}}` },
      headers: { authorization: `Bearer ${server.tokens['member']}`, 'content-type': 'application/json' },
    });

    expect(answer.status).toBe(201);
    const { inputs } = (await host.agent.accept()).params as JobPlan;
    expect(inputs[0]?.source).toMatchObject({
      text: '{"seed":9007199254740993,"far":[1e999,-0,1.0],"text":"1e999"}',
    });
  });

  /** One that waits as there is not that much free, and what it was made of changed before it is given out. */
  async function waiting(sha256: string, change: (document: JobDocument) => JobDocument): Promise<string> {
    const { body } = await submit({ revision: sha256, payload: { epochs: 3 }, requirements: { cpu: 8 } });
    await store.write(async (tx) => {
      const [job, document] = [await tx.jobs.get(body.id), await tx.job_documents.get(body.id)];
      if (!job || !document) throw new Error('the job is there');
      await tx.job_documents.put(change(document));
      await tx.jobs.put({ ...job, needs: { ...job.needs, cpu_cores: 0.1 } });
    });
    return body.id;
  }

  it('of before payloads were kept as text has its payload as well', async () => {
    const { sha256 } = await haveRevision(server, Buffer.from('before'), {}, manifest);
    await waiting(sha256, ({ payload_json, ...rest }) => ({ ...rest, payload: JSON.parse(payload_json ?? '') }));

    const { inputs } = (await host.agent.accept()).params as JobPlan;
    expect(inputs[0]?.source).toMatchObject({ text: '{"epochs":3}' });
  });

  it('whose manifest is not taken any more is refused, or ends if it waits, with what is wrong and what to do', async () => {
    const { sha256 } = await haveRevision(server, Buffer.from('taken'), {}, manifest);
    const old = await haveRevision(server, Buffer.from('outdated'), {}, { ...manifest, later: 1 });
    const expected = [expect.objectContaining({ path: '/later', code: 'unknown_key' })];

    const refused = await submit({ revision: old.sha256 });
    const id = await waiting(sha256, (rest) => ({ ...rest, document: { ...manifest, later: 1 } }));

    expect([refused.status, refused.body.error]).toMatchObject([422, { code: 'revision.outdated', errors: expected }]);
    expect(refused.body.error.hint).toContain('push the project again');
    await server.reaches(id, 'failed');
    const { body } = await call('GET', `/api/v1/jobs/${id}`, { as: 'viewer' });
    expect(body.failure).toMatchObject({ code: 'revision.outdated', detail: { errors: expected } });
  });

  it('with services of its own goes to an agent that cannot say how they stand, with what is sure', async () => {
    const service = (name: string, scope: string) => ({ name, command: ['x'], scope });
    const withServices = (...services: object[]) => ({ ...manifest, runtime: { ...manifest.runtime, services } });
    const own = await haveRevision(server, Buffer.from('own'), {}, withServices(service('db', 'task')));
    const both = withServices(service('db', 'task'), service('model', 'project'));
    const mixed = await haveRevision(server, Buffer.from('mixed'), {}, both);
    await offer({ sandboxes: ['gvisor'], builds: true, plans: ['shared_services'] });

    expect((await submit({ revision: own.sha256, requirements: { cpu: 0.2 } })).status).toBe(201);
    const { steps } = (await host.agent.accept()).params as JobPlan;
    expect(steps[0]?.env.values).toMatchObject({
      COMPUTALOT_SERVICE_DB_STATE: 'ready',
      COMPUTALOT_RUNTIME_SERVICES_JSON: '[{"name":"db","host":"db","scope":"task","restart":"never","state":"ready"}]',
    });
    const refused = await submit({ revision: mixed.sha256 });
    expect(refused.body.error.message).toContain('share some of its services and have others for itself; update it');
  });

  it('is handed by each attempt what a branch was for the first that had it, and says which commit that is', async () => {
    await offer({ sandboxes: ['gvisor'], builds: true });
    const data_sources = ['weights', 'words'].map((name) => ({
      ...{ name, source: 'huggingface', uri: `hf://acme/${name}`, delivery: 'mount', path: `/data/${name}` },
    }));
    const { sha256 } = await haveRevision(server, Buffer.from('hub'), { bases }, { ...manifest, data_sources });
    const { body } = await submit({ revision: sha256, requirements: { cpu: 0.1 }, options: { retries: 2 } });
    const ended = [];
    const lost = new AgentError('engine.unavailable').toFailure();
    const commit = (digit: string) => digit.repeat(40);

    for (const found of [[commit('a'), null], [commit('b'), commit('c')], []]) {
      const task = await host.agent.accept();
      const { inputs } = task.params as JobPlan;
      ended.push(inputs.flatMap(({ source }) => (source.kind === 'huggingface' ? [source.revision] : [])));
      const ids = inputs.flatMap(({ id, source }) => (source.kind === 'huggingface' ? [id] : []));
      const told = found.map((each, index) => ({ id: ids[index] ?? '', sha256: 'd'.repeat(64), commit: each }));
      host.report(task, { state: 'preparing', steps: [], inputs: told });
      host.end(task, { status: 'failed', failure: lost, output: null });
      await expect.poll(async () => (await server.job(body.id)).attempts.at(-1).ended_at).not.toBeNull();
      server.pass(4000);
      await store.write(async (tx) => tx.allocations.put(server.allocation));
    }

    expect(ended).toEqual([
      ['main', 'main'],
      [commit('a'), 'main'],
      [commit('a'), commit('c')],
    ]);
    expect((await server.job(body.id)).input_commits).toEqual({
      'data-weights': commit('a'),
      'data-words': commit('c'),
    });
  }, 30_000);

  it('that goes on from checkpoints has retries, unless it says how many (C-70)', async () => {
    await offer({ sandboxes: ['gvisor'], builds: true });
    const { sha256 } = await haveRevision(server, Buffer.from('retries'), { bases }, manifest);
    const retriesWith = async (options: object) =>
      (await submit({ revision: sha256, options })).body.options.retries as number;
    const checkpointing = { resume_from_latest: true };

    expect(await retriesWith({ checkpointing })).toBe(3);
    expect(await retriesWith({ checkpointing, retries: 0 })).toBe(0);
    expect(await retriesWith({ checkpointing: { resume_from_latest: false } })).toBe(0);
  });

  it('that is to go on from checkpoints and keeps none is told that it begins anew each time', async () => {
    const { sha256 } = await haveRevision(server, Buffer.from('none kept'), { bases }, { ...manifest, artifacts: {} });
    const keeping = await haveRevision(server, Buffer.from('kept'), { bases }, manifest);
    const warnedOf = async (revision: string, resume_from_latest: boolean) =>
      (await submit({ revision, options: { checkpointing: { resume_from_latest } } })).body.warnings.map(
        ({ path, code }: { path: string; code: string }) => `${path} ${code}`,
      );

    expect(await warnedOf(sha256, true)).toEqual([' no_artifacts', '/options/checkpointing no_checkpoint']);
    expect(await warnedOf(sha256, false)).toEqual([' no_artifacts']);
    expect(await warnedOf(keeping.sha256, true)).toEqual([]);
  });

  it('is not taken where its project has no such revision, or its files are gone', async () => {
    const { sha256 } = await haveRevision(server, Buffer.from('gone'), {}, manifest);
    expect((await submit({ revision: 'f'.repeat(64) })).status).toBe(404);

    rmSync(join(server.revisionFolder, 'p1', sha256));

    expect(wrongOf(await submit({ revision: sha256 }))).toEqual(['/revision']);
  });
});

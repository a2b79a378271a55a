import { describe, expect, it } from 'vitest';
import { jupyterlab } from '../../../src/manifests/gpuaas/seeds/jupyterlab.ts';
import { seedCatalog } from '../../../src/server/catalog/seed.ts';
import { jupyterProfile } from '../../support/profiles.ts';
import { anArtifact } from '../../support/store-samples.ts';
import { testServer } from '../../support/test-server.ts';

const server = await testServer();
const { store, call } = server;
const now = Date.parse('2026-11-25T10:00:00.000Z');
const versionPath = `/api/v1/catalog/apps/jupyterlab/versions/${jupyterlab.version}`;
await store.write((tx) => seedCatalog(tx, now));

describe('the catalog of a new control plane', () => {
  it('offers JupyterLab and vLLM to every project, active and published, as their manifests describe them (G-26, G-137, G-145, G-181, G-223)', async () => {
    const { body } = await call('GET', '/api/v1/catalog/apps', { as: 'viewer' });

    expect(body.items.map(({ slug }: { slug: string }) => slug)).toEqual(['jupyterlab', 'vllm-openai']);
    expect(body.items[1]).toMatchObject({ status: 'active', entitled: true, versions: [{ status: 'published' }] });
    const { display_name, description, support_level } = jupyterProfile().profile;
    expect(body.items[0]).toMatchObject({ slug: 'jupyterlab', status: 'active', entitled: true });
    expect(body.items[0]).toMatchObject({ display_name, summary: description, category: jupyterlab.category });
    expect(body.items[0].versions).toMatchObject([{ version: jupyterlab.version, status: 'published', support_level }]);
    expect(body.items[0].versions[0].engine).toBe(jupyterProfile().execution.default_engine);
  });

  it('is seeded once, however often it is asked to be', async () => {
    await store.write((tx) => seedCatalog(tx, now + 1000));

    expect(await store.read((tx) => tx.app_versions.count())).toBe(2);
    expect(await store.read((tx) => tx.entitlements.count())).toBe(2);
  });

  it('gives a manifest back byte for byte (G-10)', async () => {
    const { body, headers } = await call('GET', `${versionPath}/manifest`, { as: 'member' });

    expect(body).toBe(jupyterlab.source);
    expect(headers.get('content-type')).toContain('application/yaml');
  });

  it('says why nothing can be launched until an image is registered and verified (G-146, G-168)', async () => {
    const launchable = async () => {
      const { body } = await call('GET', versionPath, { as: 'member' });
      return { launchable: body.launchable, reasons: body.reasons, artifacts: body.artifacts };
    };
    const names = ['runtime-cpu', 'runtime-nvidia-h200', 'runtime-amd-rocm'];

    const without = await launchable();
    await store.write((tx) => tx.artifacts.insert(anArtifact({ id: 'a1', name: 'runtime-cpu', trust: 'unverified' })));
    const unverified = await launchable();
    await store.write((tx) => tx.artifacts.put(anArtifact({ id: 'a1', name: 'runtime-cpu', trust: 'verified' })));
    const verified = await launchable();

    expect(without).toMatchObject({ launchable: false, reasons: [expect.stringContaining('None of its images')] });
    expect(without.artifacts.map(({ artifact_name }: { artifact_name: string }) => artifact_name)).toEqual(names);
    expect(unverified).toMatchObject({ launchable: false });
    expect(verified).toMatchObject({ launchable: true, reasons: [] });
    expect(verified.artifacts[0]).toEqual({
      image: 'primary_image',
      artifact_name: 'runtime-cpu',
      artifact_ids: ['a1'],
    });
  });
});

describe('an app that nobody knew before', () => {
  it('is offered with its card, its versions and its form as soon as it has a published manifest (G-1, G-15)', async () => {
    const card = { slug: 'studio', display_name: 'Studio', summary: 'Draws.', category: 'notebook' };
    const source = jupyterlab.source.replace('slug: jupyterlab', 'slug: studio');
    const versions = '/api/v1/catalog/apps/studio/versions';
    const offered = async () => {
      const { body } = await call('GET', '/api/v1/catalog/apps', { as: 'member' });
      return body.items.filter(({ slug }: { slug: string }) => slug === 'studio');
    };

    await call('POST', '/api/v1/catalog/apps', { as: 'operator', body: card });
    await call('POST', versions, { as: 'operator', body: { version: '1', source } });
    await call('POST', '/api/v1/entitlements', { as: 'operator', body: { app_slug: 'studio', project_id: 'p1' } });
    await call('POST', `${versions}/1/publish`, { as: 'operator' });
    await call('POST', versions, { as: 'operator', body: { version: '2', source } });
    await call('POST', `${versions}/2/publish`, { as: 'operator' });

    const cards = await offered();
    expect(cards).toMatchObject([{ ...card, status: 'active', versions: [{}, {}] }]);
    expect((await call('GET', `${versions}/1/manifest`, { as: 'member' })).body).toBe(source);
  });
});

describe('versions', () => {
  const other = jupyterlab.source.replace('Browser notebook', 'Another notebook');
  const add = (version: string, source: string, as = 'operator') =>
    call('POST', '/api/v1/catalog/apps/jupyterlab/versions', { as, body: { version, source } });

  it('of one app stand beside each other with manifests of their own (G-16)', async () => {
    const added = await add('2026.05', other);

    expect(added).toMatchObject({ status: 201, body: { status: 'draft', source: other, format: 'yaml' } });
    const both = await store.read((tx) => tx.app_versions.list({ where: { app_slug: 'jupyterlab' } }));
    expect(both.map(({ source }) => source)).toEqual([jupyterlab.source, other]);
  });

  it('are seen by projects once they are published, and no longer when they are withdrawn', async () => {
    await add('2026.06', other);
    const path = '/api/v1/catalog/apps/jupyterlab/versions/2026.06';
    const seen = async () => (await call('GET', path, { as: 'member' })).status;

    const before = await seen();
    await call('POST', `${path}/publish`, { as: 'operator' });
    const published = await seen();
    await call('POST', `${path}/withdraw`, { as: 'operator' });
    const withdrawn = await seen();

    expect([before, published, withdrawn]).toEqual([404, 200, 404]);
    expect((await call('POST', `${path}/publish`, { as: 'operator' })).status).toBe(409);
    expect((await call('GET', path, { as: 'operator' })).body.status).toBe('withdrawn');
  });

  it('are refused with every error of their manifest, another class of app included, and nothing is kept (G-7)', async () => {
    const broken = jupyterlab.source.replace('kind: gpuaas.launchable_oci_workload', 'kind: something.else');
    const foreign = jupyterlab.source.replace('slug: jupyterlab', 'slug: other');

    const answers = [
      await add('2026.07', broken),
      await add('2026.07', foreign),
      await add('2026.07', '{"a":1,"a":2}'),
    ];

    expect(answers.map(({ status, body }) => [status, body.error.code, body.error.errors[0].path])).toEqual([
      [400, 'manifest.invalid', '/profile/kind'],
      [400, 'manifest.invalid', '/profile/slug'],
      [400, 'manifest.invalid', ''],
    ]);
    expect(
      await store.read((tx) => tx.app_versions.find({ app_slug: 'jupyterlab', version: '2026.07' })),
    ).toBeUndefined();
  });

  it('may be replaced while they are drafts, and never change afterwards: the same manifest again is no conflict (G-10)', async () => {
    await add('2026.09', other);
    const replaced = await add('2026.09', jupyterlab.source);
    await call('POST', '/api/v1/catalog/apps/jupyterlab/versions/2026.09/publish', { as: 'operator' });

    const same = await add('2026.09', jupyterlab.source);
    const changed = await add('2026.09', other);

    expect([replaced.status, replaced.body.status, replaced.body.source]).toEqual([201, 'draft', jupyterlab.source]);
    expect([same.status, same.body.status]).toEqual([201, 'published']);
    expect([changed.status, changed.body.error.code]).toEqual([409, 'resource.conflict']);
    expect(changed.body.error.message).toContain('Give this one another version.');
    expect((await call('GET', '/api/v1/catalog/apps/jupyterlab/versions/2026.09/manifest')).body).toBe(
      jupyterlab.source,
    );
  });

  it('are the business of the platform, and a taken name is a conflict', async () => {
    expect((await add('2026.08', other, 'member')).body.error.code).toBe('request.forbidden');
    expect((await add(jupyterlab.version, other)).body.error.code).toBe('resource.conflict');
  });
});

describe('entitlements (G-109)', () => {
  it('decide what a project may launch: without one the app is seen, and says why not (G-221)', async () => {
    const app = { slug: 'studio-2', display_name: 'Studio', summary: 'Draws.', category: 'notebook' };
    await call('POST', '/api/v1/catalog/apps', { as: 'operator', body: app });
    const versions = '/api/v1/catalog/apps/studio-2/versions';
    const source = jupyterlab.source.replace('slug: jupyterlab', 'slug: studio-2');
    await call('POST', versions, { as: 'operator', body: { version: '1', source } });
    await call('POST', `${versions}/1/publish`, { as: 'operator' });
    const seen = async (as: string) => {
      const { body: card } = await call('GET', '/api/v1/catalog/apps/studio-2', { as });
      const { body: version } = await call('GET', `${versions}/1`, { as });
      expect(card.versions[0].reasons).toEqual(version.reasons);
      return [card.entitled, version.launchable, version.reasons];
    };
    const none = [false, false, ['The project is not entitled to this app.']];
    const before = [await seen('member'), await seen('stranger')];

    const grant = { app_slug: 'studio-2', project_id: 'p1' };
    const { body: entitlement } = await call('POST', '/api/v1/entitlements', { as: 'operator', body: grant });
    const again = await call('POST', '/api/v1/entitlements', { as: 'operator', body: grant });
    const granted = [await seen('member'), await seen('stranger')];
    await call('DELETE', `/api/v1/entitlements/${entitlement.id}`, { as: 'operator' });

    expect(before).toEqual([none, none]);
    expect(again.body).toEqual(entitlement);
    expect(granted).toEqual([[true, true, []], none]);
    expect(await seen('member')).toEqual(none);
  });

  it('are granted by the platform only', async () => {
    const body = { app_slug: 'jupyterlab', project_id: 'p1' };

    expect((await call('POST', '/api/v1/entitlements', { as: 'member', body })).status).toBe(403);
  });
});

describe('what happens in the catalog', () => {
  const card = { display_name: 'Web', summary: 'Serves.', category: 'test' };
  const sourceOf = (slug: string) => jupyterlab.source.replace(/^( *slug:).*$/m, `$1 ${slug}`);
  const change = async (method: string, path: string, body?: object) => {
    const answer = await call(method, path, { as: 'operator', ...(body ? { body } : {}) });
    expect(answer.status, JSON.stringify(answer.body)).toBeLessThan(300);
    return answer.body;
  };
  const told = async (projectId: string, after: number) =>
    (await store.read((tx) => tx.events.list({ after, limit: 100, project_id: projectId }))).map(({ type }) => type);

  it('is heard of by every project, but for drafts and for apps that are hidden', async () => {
    const { last } = await store.read((tx) => tx.events.range());

    for (const [slug, status] of [
      ['shown', 'active'],
      ['unseen', 'hidden'],
    ] as const) {
      const version = `/api/v1/catalog/apps/${slug}/versions`;
      await change('POST', '/api/v1/catalog/apps', { slug, status, ...card });
      await change('POST', version, { version: '1', source: sourceOf(slug) });
      await change('POST', '/api/v1/entitlements', { app_slug: slug, project_id: null });
      await change('POST', `${version}/1/publish`);
      await change('POST', `${version}/1/withdraw`);
    }
    await change('POST', '/api/v1/entitlements', { app_slug: 'unseen', project_id: 'p2' });

    const catalog = ['app.added', 'app.entitled', 'app.version.published', 'app.version.withdrawn'];
    expect(await told('p1', last)).toEqual(catalog);
    expect(await told('p2', last)).toEqual([...catalog, 'app.entitled']);
  });

  it('is heard of by every project also where an image is decided about', async () => {
    const { last } = await store.read((tx) => tx.events.range());

    await store.write((tx) => tx.artifacts.insert(anArtifact({ id: 'heard', name: 'heard' })));
    await change('POST', '/api/v1/artifacts/heard/promote', { channel: 'dev' });
    await change('POST', '/api/v1/artifacts/heard/revoke', { reason: 'A hole.' });

    expect(await told('p2', last)).toEqual(['artifact.promoted', 'artifact.revoked']);
  });
});

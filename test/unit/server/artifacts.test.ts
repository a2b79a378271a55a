import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { channels, lifecycles, trusts } from '../../../src/server/db/entities/artifact.ts';
import { anArtifact, anInstance } from '../../support/store-samples.ts';
import { testServer } from '../../support/test-server.ts';

const manifestType = 'application/vnd.oci.image.manifest.v1+json';
const indexType = 'application/vnd.oci.image.index.v1+json';
const digestOf = (text: string) => `sha256:${createHash('sha256').update(text).digest('hex')}`;
const configOf = (architecture: string) => JSON.stringify({ os: 'linux', architecture });
const layers = [
  { digest: digestOf('one'), size: 1000 },
  { digest: digestOf('two'), size: 24 },
];
const imageFor = (architecture: string) =>
  JSON.stringify({ schemaVersion: 2, config: { digest: digestOf(configOf(architecture)), size: 100 }, layers });
const image = imageFor('amd64');
const index = JSON.stringify({
  manifests: [
    { digest: digestOf('arm'), mediaType: manifestType, platform: { os: 'linux', architecture: 'arm64' } },
    { digest: digestOf(image), mediaType: manifestType, platform: { os: 'linux', architecture: 'amd64' } },
  ],
});

/** What the registry answers, by digest; whatever is not here is a 404. */
const content = new Map<string, { type: string; body: string; status?: number }>();
const registry = createServer((request, response) => {
  const found = content.get(request.url?.split('/').at(-1) ?? '');
  response
    .writeHead(found?.status ?? (found ? 200 : 404), { 'content-type': found?.type ?? 'text/plain' })
    .end(found?.body);
});
registry.listen(0, '127.0.0.1');
await once(registry, 'listening');
afterAll(() => registry.close());
const host = `127.0.0.1:${(registry.address() as AddressInfo).port}`;

const { store, call, tokens } = await testServer({ registries: [host] });
const register = (digest: string, more: object = {}, as = 'operator') =>
  call('POST', '/api/v1/artifacts', {
    as,
    body: { name: 'runtime-cpu', repository: `${host}/curated/runtime-cpu`, digest, media_type: manifestType, ...more },
  });
const act = (id: string, action: string, body?: object, as = 'operator') =>
  call('POST', `/api/v1/artifacts/${id}/${action}`, { as, ...(body ? { body } : {}) });

beforeEach(async () => {
  content.clear();
  for (const blob of ['one', 'two', configOf('amd64'), configOf('arm64')]) {
    content.set(digestOf(blob), { type: 'application/octet-stream', body: blob });
  }
  await store.write(async (tx) => {
    for (const { id } of await tx.artifacts.list()) {
      await tx.artifacts.delete(id);
    }
  });
});

describe('registering', () => {
  it('keeps digest, provenance and states, and believes nothing yet (G-17)', async () => {
    const provenance = { source: 'https://git.example.com/images', revision: 'abc' };

    const { status, body } = await register(digestOf(image), { provenance });

    expect(status).toBe(201);
    expect(body).toMatchObject({ lifecycle: 'published', trust: 'unverified', promotions: [], platform_digest: null });
    expect(body.provenance).toEqual({ ...provenance, builder: null, built_at: null });
    expect(body).toMatchObject({ launchable: false, why_not: ['launch.artifact_untrusted'] });
  });

  it.each([
    ['a tag', { digest: 'latest' }],
    ['a short digest', { digest: 'sha256:abc' }],
    ['capitals', { digest: `sha256:${'A'.repeat(64)}` }],
    ['another algorithm', { digest: `sha512:${'a'.repeat(128)}` }],
    ['another media type', { media_type: 'application/vnd.cncf.helm.config.v1+json' }],
    ['a repository with a user', { repository: 'user@host/x' }],
    ['a repository with a tag', { repository: `${host}/x:latest` }],
    ['a repository without a registry', { repository: 'ubuntu' }],
    ['a name that climbs', { name: '../x' }],
  ])('refuses %s (G-111)', async (_what, wrong) => {
    expect(await register(digestOf(image), wrong)).toMatchObject({
      status: 400,
      body: { error: { code: 'request.invalid' } },
    });
  });

  it('refuses registries that the operator does not accept (G-212)', async () => {
    const { status, body } = await register(digestOf(image), { repository: 'docker.io/library/ubuntu' });

    expect([status, body.error.code]).toEqual([403, 'artifact.refused']);
    expect(body.error.hint).toContain('skopeo copy');
  });

  it('takes a digest under a name once', async () => {
    await register(digestOf(image));

    expect((await register(digestOf(image))).status).toBe(409);
    expect((await register(digestOf(image), { name: 'runtime-amd-rocm' })).status).toBe(201);
  });

  it('is the business of the platform; members look', async () => {
    const { body } = await register(digestOf(image));

    expect((await register(digestOf('x'), {}, 'member')).status).toBe(403);
    expect((await act(body.id, 'verify', undefined, 'member')).status).toBe(403);
    expect((await call('GET', `/api/v1/artifacts/${body.id}`, { as: 'viewer' })).status).toBe(200);
  });
});

describe('verifying against the registry', () => {
  const verified = async (digest: string, more: object = {}) => {
    const { body } = await register(digest, more);
    return act(body.id, 'verify');
  };

  it('believes an image whose bytes give its digest, and records its size', async () => {
    content.set(digestOf(image), { type: manifestType, body: image });

    const { status, body } = await verified(digestOf(image));

    expect(status).toBe(200);
    expect(body).toMatchObject({
      trust: 'verified',
      platform_digest: digestOf(image),
      size_bytes: 1124,
      launchable: true,
    });
  });

  it('records the image of our platform for an index (G-33)', async () => {
    content.set(digestOf(index), { type: indexType, body: index });
    content.set(digestOf(image), { type: manifestType, body: image });

    const { body } = await verified(digestOf(index), { media_type: indexType });

    expect(body).toMatchObject({ trust: 'verified', platform_digest: digestOf(image) });
  });

  it.each([
    ['has nothing of that digest', undefined, 'no manifest'],
    ['lies about its content', { type: manifestType, body: `${image} ` }, 'bytes whose digest is'],
    ['says it is something else', { type: indexType, body: image }, 'says it is'],
    ['has what is no image', { type: manifestType, body: '{"schemaVersion":2}' }, 'not one of an image'],
  ])('does not believe an image if the registry %s (FAULTS 24)', async (_what, answer, message) => {
    const digest = digestOf(answer?.body === '{"schemaVersion":2}' ? answer.body : image);
    if (answer) {
      content.set(digest, answer);
    }

    const { body } = await verified(digest);

    expect(body).toMatchObject({ trust: 'failed', launchable: false, platform_digest: null });
    expect(body.verification.message).toContain(message);
  });

  it.each<[string, () => void, string]>([
    ['a layer is missing', () => content.delete(digestOf('two')), `does not have the layer ${digestOf('two')}`],
    [
      'its configuration is missing',
      () => content.delete(digestOf(configOf('amd64'))),
      'does not have the configuration',
    ],
    [
      'its configuration has changed',
      () => content.set(digestOf(configOf('amd64')), { type: 'text/plain', body: configOf('arm64') }),
      'bytes whose digest is',
    ],
  ])('does not believe an image of which %s', async (_what, damage, message) => {
    content.set(digestOf(image), { type: manifestType, body: image });
    damage();

    const { body } = await verified(digestOf(image));

    expect(body).toMatchObject({ trust: 'failed', launchable: false });
    expect(body.verification.message).toContain(message);
  });

  it('does not believe an image for other machines than ours, under whatever name it was registered', async () => {
    const foreign = imageFor('arm64');
    const lying = JSON.stringify({
      manifests: [
        { digest: digestOf(foreign), mediaType: manifestType, platform: { os: 'linux', architecture: 'amd64' } },
      ],
    });
    content.set(digestOf(foreign), { type: manifestType, body: foreign });
    content.set(digestOf(lying), { type: indexType, body: lying });

    const answers = [await verified(digestOf(foreign)), await verified(digestOf(lying), { media_type: indexType })];

    for (const { body } of answers) {
      expect(body).toMatchObject({ trust: 'failed', platform_digest: null });
      expect(body.verification.message).toContain('The image is for linux/arm64, and the fleet runs linux/amd64.');
    }
  });

  it('says that it is not let in, and changes nothing', async () => {
    content.set(digestOf(image), { type: 'text/plain', body: 'no', status: 401 });

    const { status, body } = await verified(digestOf(image));

    expect([status, body.error.code]).toEqual([403, 'artifact.unauthorized']);
    expect((await store.read((tx) => tx.artifacts.list())).map(({ trust }) => trust)).toEqual(['unverified']);
  });

  it('does not believe an index without an image for our platform', async () => {
    const foreign = JSON.stringify({ manifests: [] });
    content.set(digestOf(foreign), { type: indexType, body: foreign });

    expect((await verified(digestOf(foreign), { media_type: indexType })).body.trust).toBe('failed');
  });

  it('tells the instances of an image that the registry has lost', async () => {
    content.set(digestOf(image), { type: manifestType, body: image });
    const { body } = await verified(digestOf(image));
    await store.write((tx) => tx.app_instances.insert(anInstance({ artifact_id: body.id })));
    content.clear();

    const again = await act(body.id, 'verify');

    expect(again.body.trust).toBe('failed');
    const events = await store.read((tx) => tx.events.list({ after: 0, limit: 1, latest: true }));
    expect(events).toMatchObject([{ type: 'apps.instance.artifact_failed', subject: { id: 'i1' } }]);
  });

  it('changes nothing if the registry does not answer as one', async () => {
    content.set(digestOf(image), { type: 'text/plain', body: 'no', status: 500 });

    const { status, body } = await verified(digestOf(image));

    expect([status, body.error.code]).toEqual([502, 'artifact.unreachable']);
    expect((await store.read((tx) => tx.artifacts.list())).map(({ trust }) => trust)).toEqual(['unverified']);
  });
});

describe('deciding about an artifact', () => {
  const given = async (more: object = {}) => {
    const artifact = anArtifact({ repository: `${host}/curated/runtime-cpu`, ...more });
    await store.write((tx) => tx.artifacts.insert(artifact));
    return artifact.id;
  };

  it.each(channels)('promotes a verified one to %s, with who, what and why on record (X-7)', async (channel) => {
    const id = await given();

    const { body } = await call('POST', `/api/v1/artifacts/${id}/promote`, {
      as: 'operator',
      body: { channel },
      headers: { 'x-correlation-id': 'release-7' },
    });

    const [, operator] = tokens['operator']?.split('_') ?? [];
    expect(body).toMatchObject({ lifecycle: 'promoted', launchable: true });
    expect(body.promotions).toEqual([
      { channel, digest: anArtifact().digest, actor: operator, at: expect.any(String), correlation_id: 'release-7' },
    ]);
    const events = await store.read((tx) => tx.events.list({ after: 0, limit: 1, latest: true }));
    expect(events).toMatchObject([{ type: 'artifact.promoted', correlation_id: 'release-7', data: { channel } }]);
  });

  it.each(trusts.filter((trust) => trust !== 'verified'))('does not promote one that is %s', async (trust) => {
    const id = await given({ trust });

    expect((await act(id, 'promote', { channel: 'prod' })).body.error.code).toBe('resource.conflict');
  });

  it('goes one way: what is retired stays retired, what is revoked stays revoked', async () => {
    const id = await given();
    content.set(anArtifact().digest, { type: manifestType, body: image });
    const reason = { reason: 'It has a hole.' };

    const states = [
      ...[await act(id, 'deprecate', reason), await act(id, 'promote', { channel: 'prod' })],
      ...[await act(id, 'retire', reason), await act(id, 'deprecate', reason), await act(id, 'retire', reason)],
      ...[await act(id, 'revoke', reason), await act(id, 'verify'), await act(id, 'revoke', reason)],
    ];

    expect(states.map(({ status, body }) => [status, body.lifecycle ?? body.error.code, body.trust])).toEqual([
      [200, 'deprecated', 'verified'],
      [409, 'resource.conflict', undefined],
      [200, 'retired', 'verified'],
      [409, 'resource.conflict', undefined],
      [200, 'retired', 'verified'],
      [200, 'retired', 'revoked'],
      [409, 'resource.conflict', undefined],
      [200, 'retired', 'revoked'],
    ]);
    expect(states[6]?.body.error.message).toContain(
      'The trust in this image was taken back for good: It has a hole. Build another one, and push that.',
    );
  });

  const table = lifecycles.flatMap((lifecycle) => trusts.map((trust) => ({ lifecycle, trust })));
  it.each(table)('lets $lifecycle and $trust be launched only if it is offered and believed (X-6)', async (states) => {
    const id = await given(states);

    const { body } = await call('GET', `/api/v1/artifacts/${id}`, { as: 'viewer' });

    const offered = states.lifecycle === 'published' || states.lifecycle === 'promoted';
    expect(body.launchable).toBe(offered && states.trust === 'verified');
    expect(body.why_not).toHaveLength((offered ? 0 : 1) + (states.trust === 'verified' ? 0 : 1));
  });
});

/** A version that is locked to the images of its release: what it is launched from, and what it is not (G-243). */
import { beforeEach, describe, expect, it } from 'vitest';
import { jupyterlab } from '../../../src/manifests/gpuaas/seeds/jupyterlab.ts';
import { seedCatalog } from '../../../src/server/catalog/seed.ts';
import type { Artifact } from '../../../src/server/db/entities/artifact.ts';
import { aRequest } from '../../support/launch-samples.ts';
import { anAllocation, anArtifact } from '../../support/store-samples.ts';
import { testServer } from '../../support/test-server.ts';

const { store, call } = await testServer();
const path = `/api/v1/catalog/apps/jupyterlab/versions/${jupyterlab.version}`;
await store.write(async (tx) => {
  await seedCatalog(tx, Date.parse('2026-11-25T10:00:00.000Z'));
  await tx.allocations.insert(anAllocation());
});

const digest = (letter: string) => `sha256:${letter.repeat(64)}`;
const promotion = (letter: string, channel: 'staging' | 'prod', at: string) => ({
  ...{ channel, digest: digest(letter), actor: 'init', at: `2026-11-25T${at}:00.000Z`, correlation_id: 'c' },
});
const image = (id: string, letter: string, given: Partial<Artifact> = {}) =>
  anArtifact({ id, digest: digest(letter), platform_digest: digest(letter), ...given });
const lock = (body: object, as = 'operator') => call('POST', `${path}/lock`, { as, body });
const offered = async () =>
  (await call('GET', path, { as: 'member' })).body.artifacts.map(
    ({ artifact_ids }: { artifact_ids: string[] }) => artifact_ids,
  );

beforeEach(async () => {
  await call('DELETE', `${path}/lock`);
  await store.write(async (tx) => {
    for (const { id } of await tx.artifacts.list()) await tx.artifacts.delete(id);
    for (const artifact of [
      image('old', 'a', { lifecycle: 'promoted', promotions: [promotion('a', 'prod', '12:00')] }),
      image('new', 'b', {
        lifecycle: 'promoted',
        promotions: [promotion('b', 'prod', '11:00'), promotion('b', 'staging', '13:00')],
      }),
      image('loose', 'c'),
      image('gone', 'd', { lifecycle: 'retired', promotions: [promotion('d', 'prod', '14:00')] }),
      image('bad', 'e', { lifecycle: 'promoted', trust: 'revoked', promotions: [promotion('e', 'prod', '15:00')] }),
      image('h200', 'f', { name: 'runtime-nvidia-h200' }),
    ]) {
      await tx.artifacts.insert(artifact);
    }
  });
});

describe('a release lock', () => {
  it('takes what was last promoted to a channel and may be launched, name by name, and offers nothing else (G-243)', async () => {
    const before = await offered();
    const { status, body } = await lock({ channel: 'prod' });

    expect(before).toEqual([['old', 'new', 'loose'], ['h200'], []]);
    expect([status, body.lock.channel, body.lock.artifacts]).toEqual([
      200,
      'prod',
      { 'runtime-cpu': { artifact_id: 'old', digest: digest('a') } },
    ]);
    expect(await offered()).toEqual([['old'], [], []]);
    expect((await lock({ channel: 'staging' })).body.lock.artifacts).toEqual({
      'runtime-cpu': { artifact_id: 'new', digest: digest('b') },
    });
  });

  it('takes the artifacts that are named', async () => {
    const { body } = await lock({ artifacts: { 'runtime-cpu': 'loose', 'runtime-nvidia-h200': 'h200' } });

    expect(body.lock).toMatchObject({ channel: null, artifacts: { 'runtime-nvidia-h200': { digest: digest('f') } } });
    expect(await offered()).toEqual([['loose'], ['h200'], []]);
  });

  it('decides a launch: another image is refused by name, and with none named the locked one is taken', async () => {
    const checks = async (given: object) => {
      const body = { ...aRequest(), ...given };
      return (await call('POST', '/api/v1/app-instances/checks', { as: 'member', body })).body;
    };
    const codes = ({ refusals }: { refusals: { code: string }[] }) => refusals.map(({ code }) => code);
    await lock({ artifacts: { 'runtime-cpu': 'loose' } });

    expect(codes(await checks({ artifact_id: 'new' }))).toContain('launch.artifact_not_locked');
    expect(codes(await checks({ artifact_id: 'loose' })).filter((code) => code.includes('artifact'))).toEqual([]);
    expect(codes(await checks({ artifact_id: undefined })).filter((code) => code.includes('artifact'))).toEqual([]);
  });

  it('says so where its image is gone, and lets in no other', async () => {
    await lock({ artifacts: { 'runtime-cpu': 'loose' } });
    await call('POST', '/api/v1/artifacts/loose/revoke', { as: 'operator', body: { reason: 'A hole.' } });

    const { body } = await call('GET', path, { as: 'member' });

    expect(body).toMatchObject({ launchable: false, lock: { artifacts: { 'runtime-cpu': { artifact_id: 'loose' } } } });
    expect(body.reasons).toEqual([expect.stringContaining('None of the images of its release lock')]);
  });

  it('is on record with who and what, once however often it is asked for, and can be taken away', async () => {
    const events = async () =>
      (await store.read((tx) => tx.events.list({ after: 0, limit: 1000 }))).filter(({ type }) =>
        type.startsWith('app.version.'),
      );
    const before = (await events()).length;

    const { body: first } = await lock({ channel: 'prod' });
    const { body: again } = await lock({ channel: 'prod' });
    const { body: removed } = await call('DELETE', `${path}/lock`, { as: 'operator' });
    await call('DELETE', `${path}/lock`, { as: 'operator' });

    expect(again.lock).toEqual(first.lock);
    expect(first.lock).toMatchObject({ actor: expect.stringMatching(/./), correlation_id: expect.stringMatching(/./) });
    expect(removed.lock).toBeNull();
    expect((await events()).slice(before)).toMatchObject([
      { type: 'app.version.locked', data: { channel: 'prod', before: null } },
      { type: 'app.version.unlocked', data: { before: first.lock.artifacts } },
    ]);
    expect(await offered()).toEqual([['old', 'new', 'loose'], ['h200'], []]);
  });

  it.each<[string, object, number, string]>([
    ['a channel without the primary image', { channel: 'dev' }, 409, 'resource.conflict'],
    ['artifacts without the primary image', { artifacts: { 'runtime-nvidia-h200': 'h200' } }, 409, 'resource.conflict'],
    ['a name of another app', { artifacts: { 'runtime-cpu': 'old', 'runtime-tpu': 'x' } }, 400, 'request.invalid'],
    ['the artifact of another name', { artifacts: { 'runtime-cpu': 'h200' } }, 400, 'request.invalid'],
    ['a retired artifact', { artifacts: { 'runtime-cpu': 'gone' } }, 400, 'request.invalid'],
    ['a revoked artifact', { artifacts: { 'runtime-cpu': 'bad' } }, 400, 'request.invalid'],
    ['both at once', { channel: 'prod', artifacts: { 'runtime-cpu': 'old' } }, 400, 'request.invalid'],
    ['nothing', {}, 400, 'request.invalid'],
  ])('refuses %s', async (_what, body, status, code) => {
    const answer = await lock(body);

    expect([answer.status, answer.body.error.code]).toEqual([status, code]);
    expect((await call('GET', path)).body.lock ?? null).toBeNull();
  });

  it('is the business of the platform, and not of a version that is withdrawn', async () => {
    expect((await lock({ channel: 'prod' }, 'member')).status).toBe(403);
    const version = { version: 'gone', source: jupyterlab.source };
    const gone = '/api/v1/catalog/apps/jupyterlab/versions/gone';
    await call('POST', '/api/v1/catalog/apps/jupyterlab/versions', { body: version });
    await call('POST', `${gone}/publish`);
    await call('POST', `${gone}/withdraw`);

    expect((await call('POST', `${gone}/lock`, { body: { channel: 'prod' } })).body.error.code).toBe(
      'resource.conflict',
    );
  });
});

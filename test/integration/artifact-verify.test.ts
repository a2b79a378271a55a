/** What `verify` finds out at a real registry: that all is there, and each way in which it is not (G-33, X-6, FAULTS 24). */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { freePort } from '../../bootstrap/dev/free-port.ts';
import { type PrivateRegistry, startRegistry, TEST_LOGIN } from '../../bootstrap/dev/registry.ts';
import { readLayout } from '../../src/cli/gpuaas/oci-layout.ts';
import { pushImage } from '../../src/cli/gpuaas/push-image.ts';
import { indexType, manifestType, writeLayout } from '../support/oci-layout.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { testServer } from '../support/test-server.ts';

const folder = temporaryFolder('artifact-verify');
const registries: string[] = [];
const upstream: Record<string, { username: string; password: string }> = {};
const { call, store } = await testServer({ registries, upstream });
let open: PrivateRegistry;
let locked: PrivateRegistry;

beforeAll(async () => {
  open = await startRegistry(join(folder, 'open'));
  locked = await startRegistry(join(folder, 'locked'), { htpasswd: TEST_LOGIN.htpasswd });
  registries.push(open.host, locked.host, `127.0.0.1:${await freePort()}`);
});
afterAll(async () => {
  await open?.stop();
  await locked?.stop();
});

/** Pushes an image of its own name to the open registry. */
async function pushed(name: string, given: Parameters<typeof writeLayout>[1] = {}) {
  const layout = writeLayout(join(folder, name), { layers: [`layer of ${name}`], ...given });
  const repository = `${open.host}/verify/${name}`;
  await pushImage(await readLayout(layout.folder), { repository, token: undefined, onBlob: () => undefined });
  return { ...layout, name, repository };
}

async function verified(
  { name, repository, digest }: { name: string; repository: string; digest: string },
  media_type = manifestType,
) {
  const { body } = await call('POST', '/api/v1/artifacts', { body: { name, repository, digest, media_type } });
  return await call('POST', `/api/v1/artifacts/${body.id}/verify`);
}

/** The file in which a registry keeps what has this digest. */
function kept(digest: string): string {
  const hex = digest.replace('sha256:', '');
  return join(folder, 'open/blobs/docker/registry/v2/blobs/sha256', hex.slice(0, 2), hex, 'data');
}

it('believes an image, and of an index the image that the fleet runs (G-33)', async () => {
  const image = await pushed('image');
  const index = await pushed('index', { architectures: ['arm64', 'amd64'] });

  expect((await verified(image)).body).toMatchObject({ trust: 'verified', platform_digest: image.digest });
  expect((await verified(index, indexType)).body).toMatchObject({
    trust: 'verified',
    platform_digest: index.images['amd64'],
  });
});

it('does not believe an image for other machines, or an index without ours', async () => {
  const image = await pushed('foreign', { architectures: ['arm64'] });
  const index = await pushed('foreign-index', { architectures: ['arm64', 's390x'] });

  const answers = [(await verified(image)).body, (await verified(index, indexType)).body];

  expect(answers.map(({ trust, verification }) => [trust, verification.message])).toEqual([
    ['failed', 'The image is for linux/arm64, and the fleet runs linux/amd64.'],
    ['failed', 'The index has no image for linux/amd64.'],
  ]);
});

it('does not believe an index that was registered as an image, nor the other way round', async () => {
  const index = await pushed('misnamed-index', { architectures: ['arm64', 'amd64'] });
  const image = await pushed('misnamed-image');

  const answers = [(await verified(index, manifestType)).body, (await verified(image, indexType)).body];

  expect(answers.map(({ trust }) => trust)).toEqual(['failed', 'failed']);
});

it('finds out that a layer was lost, after it was there', async () => {
  const image = await pushed('lossy');
  const before = await verified(image);
  rmSync(kept(image.layers[0] ?? ''));

  const { body } = await call('POST', `/api/v1/artifacts/${before.body.id}/verify`);

  expect(before.body.trust).toBe('verified');
  expect(body).toMatchObject({ trust: 'failed', launchable: false });
  expect(body.verification.message).toContain(`does not have the layer ${image.layers[0]}`);
});

it('finds out that the manifest behind a digest is another one than was pushed', async () => {
  const image = await pushed('changed');
  const file = kept(image.digest);
  writeFileSync(file, `${readFileSync(file, 'utf8')} `);

  const { body } = await verified(image);

  expect(body).toMatchObject({ trust: 'failed', platform_digest: null });
});

it('does not believe a digest that nobody has pushed', async () => {
  const image = await pushed('known');

  const { body } = await verified({ ...image, digest: `sha256:${'0'.repeat(64)}` });

  expect(body.verification.message).toBe('The registry has no manifest of this digest.');
});

it('leaves trust as it was while a registry is away, or does not let it in', async () => {
  const image = await pushed('same');
  const away = registries.at(-1) ?? '';
  const trustOf = async () =>
    (await store.read((tx) => tx.artifacts.list({ where: { name: 'same' } }))).map(({ trust }) => trust);

  const gone = await verified({ ...image, repository: `${away}/verify/same` });
  const shut = await verified({
    ...image,
    digest: `sha256:${'1'.repeat(64)}`,
    repository: `${locked.host}/verify/same`,
  });

  expect([gone, shut].map(({ status, body }) => [status, body.error.code])).toEqual([
    [502, 'artifact.unreachable'],
    [403, 'artifact.unauthorized'],
  ]);
  expect(await trustOf()).toEqual(['unverified', 'unverified']);
});

it('reads a registry that asks for a login with the one that it was given', async () => {
  upstream[locked.host] = { username: TEST_LOGIN.username, password: TEST_LOGIN.password };

  const { status, body } = await verified({
    ...{ name: 'nothing', repository: `${locked.host}/verify/nothing`, digest: `sha256:${'2'.repeat(64)}` },
  });

  expect([status, body.trust, body.verification.message]).toEqual([
    200,
    'failed',
    'The registry has no manifest of this digest.',
  ]);
});

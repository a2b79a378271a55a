/** Volumes of jobs on the real engine: whoever the containers of a job run as, they can write to those of their job. */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { unpackPackage } from '../../bootstrap/dev/packages.ts';
import { ensureRegistry } from '../../bootstrap/dev/registry.ts';
import { engineCall } from '../support/engine-call.ts';
import { type NosanaGround, openNosanaGround } from '../support/nosana-ground.ts';
import { definition, op, shared, volumeOp, type Wish } from '../support/nosana-jobs.ts';
import { type FreshImageOptions, pushFreshImage } from './engine-images.ts';

const busybox = 'bin/busybox';
const images = {
  one: { user: '1000' },
  other: { user: '2000:2000' },
  /** Has the folder itself, as its user's. */
  own: { user: '3000', data: { uid: 3000, files: { model: 'of the image\n' } } },
} as const satisfies Record<string, FreshImageOptions>;

let ground: NosanaGround;
const pins: Record<string, NonNullable<Wish['pins']>[string]> = {};
beforeAll(async () => {
  ground = await openNosanaGround();
  const { host } = await ensureRegistry();
  const shell = readFileSync(`${await unpackPackage('busybox-static')}/${busybox}`);
  for (const [name, options] of Object.entries(images)) {
    const { repository, digest } = await pushFreshImage(host, `gpuaas-dev/user-${name}`, { shell, ...options });
    const media_type = 'application/vnd.docker.distribution.manifest.v2+json';
    pins[`docker.io/library/${name}:latest`] = { reference: `${host}/${repository}@${digest}`, media_type };
  }
});
afterAll(async () => {
  for (const { reference } of Object.values(pins)) {
    if (ground) await engineCall(ground.host.engineSocket, 'DELETE', `/images/${reference}`);
  }
  await ground?.close();
});

it('can be written to by whoever an op runs as, one after another', async () => {
  const ended = await ground.run(
    definition([
      volumeOp('shared'),
      op('first', 'echo by one > /v/file; echo $(id -u)', { image: 'one', ...shared }),
      op('second', 'cat /v/file; mv /v/file /v/moved; echo by other > /v/file; echo $(id -u)', {
        ...{ image: 'other', ...shared },
      }),
      op('third', 'cat /v/moved /v/file', { image: 'tiny', ...shared }),
    ]),
    { pins },
  );

  expect(ended.said('first')).toEqual(['1000']);
  expect(ended.said('second')).toEqual(['by one', '2000']);
  expect(ended.said('third')).toEqual(['by one', 'by other']);
});

it('keep what the image has at that place, and its owner', async () => {
  const data = { volumes: [{ name: 'data', dest: '/data' }] };
  const ended = await ground.run(
    definition([
      volumeOp('data'),
      op('own', 'cat /data/model; echo more > /data/more; stat -c "%u %a" /data', { image: 'own', ...data }),
      op('other', 'echo again > /data/again; stat -c "%u %a" /data /data/model', { image: 'other', ...data }),
    ]),
    { pins },
  );

  expect(ended.said('own')).toEqual(['of the image', '3000 777']);
  expect(ended.said('other')).toEqual(['3000 777', '0 644']);
});

it('can be written to however long its place is called', async () => {
  const dest = `/${'long-'.repeat(30)}`;
  const volumes = [{ name: 'data', dest }];
  const ended = await ground.run(
    definition([volumeOp('data'), op('one', `echo there > ${dest}/file; cat ${dest}/file`, { image: 'one', volumes })]),
    { pins },
  );

  expect(ended.said('one')).toEqual(['there']);
});

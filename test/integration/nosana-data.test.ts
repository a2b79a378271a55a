/** Volumes, resources and private images of Nosana jobs (research: volumes, resources, credentials), with sources and a registry on loopback. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { unpackPackage } from '../../bootstrap/dev/packages.ts';
import { ensureRegistry, type PrivateRegistry, startRegistry, TEST_LOGIN } from '../../bootstrap/dev/registry.ts';
import { engineCall } from '../support/engine-call.ts';
import { type Hub, hubServer } from '../support/hub-server.ts';
import { contentOf, type LoopbackSource } from '../support/loopback-source.ts';
import { type EndedJob, type NosanaGround, openNosanaGround } from '../support/nosana-ground.ts';
import { definition, op, refusalsOf, shared, volumeOp, type Wish } from '../support/nosana-jobs.ts';
import { type OllamaRegistry, ollamaRegistry } from '../support/ollama-registry.ts';
import { s3Server } from '../support/s3-server.ts';
import { contentsBelow, secretsIn } from '../support/secrets.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { pushFreshImage } from './engine-images.ts';

const key = { id: 'AKIAEXAMPLE', secret: 'the-secret-of-the-key', region: 'eu-west-1' };
const iam = { IAM: { REGION: key.region, ACCESS_KEY_ID: key.id, SECRET_ACCESS_KEY: key.secret } };
const token = 'hf_the_token_of_somebody';

let ground: NosanaGround;
let store: LoopbackSource;
let hub: Hub;
let models: OllamaRegistry;
let registry: PrivateRegistry;
let image: string;
let pins: NonNullable<Wish['pins']>;

beforeAll(async () => {
  const objects = (...names: string[]) =>
    Object.fromEntries(names.map((name) => [name, contentOf(`this is ${name}\n`)]));
  store = await s3Server(
    [
      { name: 'open', objects: objects('data/a.txt', 'data/b/c.txt', 'other.txt') },
      { name: 'second', objects: objects('d.txt') },
      { name: 'closed', objects: objects('private.txt'), key },
    ],
    { style: 'path' },
  );
  hub = await hubServer([
    {
      ...{ repo: 'somebody/model', commit: 'c'.repeat(40), token },
      ...{ large: { 'model.bin': contentOf('weights\n') }, small: { 'config.json': '{}\n', 'README.md': 'read\n' } },
    },
  ]);
  models = await ollamaRegistry('library/small', 'latest', [contentOf('layer\n')]);
  registry = await startRegistry(temporaryFolder('nosana-registry'), { htpasswd: TEST_LOGIN.htpasswd });
  const { repository, digest } = await pushFreshImage(registry.host, 'team/app', {
    ...{ auth: TEST_LOGIN, shell: readFileSync(join(await unpackPackage('busybox-static'), 'bin/busybox')) },
  });
  image = `${registry.host}/${repository}`;
  const media_type = 'application/vnd.docker.distribution.manifest.v2+json';
  pins = { [`${image}:1`]: { reference: `${image}@${digest}`, media_type } };
  const hosts = [(await ensureRegistry()).host, registry.host];
  ground = await openNosanaGround({
    policy: { registries: hosts.map((host) => ({ host, prefixes: [''] })) },
    inputs: {
      allow: [store, hub, hub.network, models, models.store].map(({ origin }) => new URL(origin).host),
      endpoints: { huggingface: hub.origin, ollama: models.origin },
    },
  });
});
afterAll(async () => {
  for (const { reference } of Object.values(pins ?? {})) {
    if (ground) await engineCall(ground.host.engineSocket, 'DELETE', `/images/${reference}`);
  }
  await ground?.close();
  await registry?.stop();
});

/** Events of these types, in order. */
const told = ({ output }: EndedJob, ...types: string[]) =>
  output.events.filter(({ type }) => types.includes(type)).map(({ type }) => type);

describe.concurrent('volumes', () => {
  it('are of one job: its ops share them, another job of the same words does not, and they go with it (N-22)', async () => {
    const document = definition([
      volumeOp('shared'),
      op('writes', 'ls /v; echo written > /v/file', shared),
      op('reads', 'cat /v/file', shared),
    ]);
    const jobs = [await ground.run(document), await ground.run(document)];

    expect(jobs.map((job) => [job.result.status, job.said('writes'), job.said('reads')])).toEqual(
      Array(2).fill(['succeeded', [], ['written']]),
    );
  });
});

describe.concurrent('resources', () => {
  it('come out of buckets: a prefix, some files, several buckets; read-only unless they may be written to (N-35, N-37, N-38, N-44)', async () => {
    const find = 'cd /data; find . -type f | sort; touch new && echo wrote';
    const url = `${store.origin}/open`;
    const s3 = { type: 'S3', target: '/data' } as const;
    const execution = { group: 'g' };
    const job = await ground.run(
      definition([
        op('prefix', find, { execution, resources: [{ ...s3, url: `${url}/data/` }] }),
        op('files', find, { execution, resources: [{ ...s3, url, files: ['data/b/c.txt', 'other.txt'] }] }),
        op('buckets', find, {
          ...{
            execution,
            resources: [{ ...s3, buckets: [{ url, files: ['other.txt'] }, { url: `${store.origin}/second` }] }],
          },
        }),
        op('writes', `${find}; cat other.txt`, {
          execution,
          resources: [{ ...s3, url, files: ['other.txt'], allowWrite: true }],
        }),
      ]),
      { on_failure: 'continue' },
    );

    expect(
      Object.fromEntries(
        job.report.steps.map(({ id }) => [id, job.said(id).filter((line) => !/Read-only/.test(line))]),
      ),
    ).toEqual({
      ...{
        prefix: ['./a.txt', './b/c.txt'],
        files: ['./data/b/c.txt', './other.txt'],
        buckets: ['./d.txt', './other.txt'],
      },
      writes: ['./other.txt', 'wrote', 'this is other.txt'],
    });
    expect(job.step('prefix').state).toBe('failed');
    expect([...new Set(told(job, 'input.provided', 'step.started'))]).toEqual(['input.provided', 'step.started']);
  });

  it('of a bucket that is closed are fetched with the key, which is nowhere afterwards; another job has to have it too (N-39, N-40)', async () => {
    const ops = (IAM: object) =>
      definition([
        op('reads', 'cat /data/private.txt; env', {
          resources: [{ type: 'S3', target: '/data', url: `${store.origin}/closed`, ...IAM }],
        }),
      ]);
    const job = await ground.run(ops(iam));
    const again = await ground.run(ops(iam));
    const without = await ground.run(ops({}));

    expect([job.said('reads')[0], again.said('reads')[0]]).toEqual(Array(2).fill('this is private.txt'));
    expect(again.output.events.find(({ type }) => type === 'input.provided')?.values).toMatchObject({
      from_cache: true,
    });
    expect(without.result).toMatchObject({ status: 'failed', failure: { code: 'input.refused' } });
    expect(without.step('reads')).toMatchObject({ state: 'skipped', started_at: null });
    expect(secretsIn(JSON.stringify([job.result, again.result]), { secret: key.secret })).toEqual([]);
    const kept = [...contentsBelow(ground.host.folder)];
    expect(kept.flatMap(([file, content]) => secretsIn(content, { [file]: key.secret }))).toEqual([]);
  });

  it('are models: of a hub with the token of their author, and of a registry of Ollama where it looks for them (N-41, N-42, N-43)', async () => {
    const job = await ground.run(
      definition([
        op('hub', 'cd /model; cat config.json model.bin; ls', {
          ...{
            resources: [
              {
                type: 'HF',
                repo: 'somebody/model',
                target: '/model',
                files: ['config.json', 'model.bin'],
                accessToken: token,
              },
            ],
          },
          execution: { group: 'g' },
        }),
        op('ollama', 'cd /root/.ollama/models; find manifests -type f; cat blobs/* | grep layer', {
          ...{ resources: [{ type: 'Ollama', model: 'small' }], execution: { group: 'g' } },
        }),
      ]),
    );

    expect(job.result).toMatchObject({ status: 'succeeded', failure: null });
    expect(job.said('hub')).toEqual(['{}', 'weights', 'config.json', 'model.bin']);
    expect(job.said('ollama')).toEqual(['manifests/registry.ollama.ai/library/small/latest', 'layer']);
  });

  it('that cannot be had, or are where the host does not look, fail the job before anything starts (N-36)', async () => {
    const from = (url: string) =>
      definition([op('reads', 'true', { resources: [{ type: 'S3', target: '/data', url }] })]);
    const [none, elsewhere] = await Promise.all([
      ground.run(from(`${store.origin}/none`)),
      ground.run(from('http://127.0.0.1:9/bucket')),
    ]);

    expect([none, elsewhere].map(({ result }) => result.failure?.code)).toEqual(['input.refused', 'input.refused']);
    expect(none.step('reads').started_at).toBeNull();
  });

  it('may be named by what an op before has brought out', async () => {
    const job = await ground.run(
      definition([
        op('first', 'echo file=other.txt', { results: { file: 'file=(.+)' } }),
        op('reads', 'cat /data/other.txt', {
          resources: [
            { type: 'S3', target: '/data', url: `${store.origin}/open`, files: ['%%ops.first.results.file%%'] },
          ],
        }),
      ]),
    );

    expect(job.result).toMatchObject({ status: 'succeeded', failure: null });
    expect(job.said('reads')).toEqual(['this is other.txt']);
  });
});

describe.concurrent('an image of a registry that asks for an account', () => {
  const ops = (docker?: object) =>
    definition([
      op('private', ['/bin/sh', '-c', 'echo from the registry'], {
        ...{ image: `${image}:1`, ...(docker && { authentication: { docker } }) },
      }),
    ]);

  it('is pulled with the account of the op, whose password is nowhere afterwards (N-28, N-45, N-46, N-47, N-48)', async () => {
    const { username, password } = TEST_LOGIN;
    const refused = await ground.run(ops({ username, password: 'not-it' }), { pins });
    const nobody = await ground.run(ops(), { pins });
    const job = await ground.run(ops({ username, password, server: registry.host }), { pins });

    expect([refused, nobody].map(({ result }) => result.failure?.code)).toEqual(Array(2).fill('image.unauthorized'));
    expect(job.result).toMatchObject({ status: 'succeeded', failure: null });
    expect(job.said('private')).toEqual(['from the registry']);
    const spellings = [`${username}:${password}`, JSON.stringify(password)];
    const kept = [
      ...contentsBelow(ground.host.folder),
      ['the result', Buffer.from(JSON.stringify(job.result))] as const,
    ];
    const found = ([file, content]: readonly [string, Buffer]) =>
      spellings.flatMap((spelling) => secretsIn(content, { [file]: spelling }));
    expect(kept.flatMap(found)).toEqual([]);
  });

  it('is refused at submission where the account is of another registry (N-48)', () => {
    const { username, password } = TEST_LOGIN;

    expect(refusalsOf(ops({ username, password, server: 'elsewhere.example' }))).toEqual([
      '/ops/0/args/authentication/docker/server: other_registry',
    ]);
  });
});

/** What a project has to be to become a revision: its manifest, its files, and what it is built on. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { eventually } from '../../../support/eventually.ts';
import { jobServer } from '../../../support/job-server.ts';
import { tarOf } from '../../kit/tarball/tar-bytes.ts';

const server = await jobServer();
const { call } = server;
const base = `${server.registry.host}/team/hello:1`;
const manifest = {
  version: 1,
  runtime: { kind: 'oci', sandbox: 'gvisor', workdir: '/workspace' },
  entrypoint: { command: ['python', 'job.py'] },
};
const dockerfile = `FROM ${base}\nCOPY job.py /workspace/job.py\n`;

function packed(given: object = {}, files: Readonly<Record<string, string>> = {}) {
  const all = { 'job.py': 'print(1)', Dockerfile: dockerfile, ...files };
  const document = JSON.stringify({ ...manifest, ...given });
  const parts = [['computalot.project.json', document], ...Object.entries(all)];
  return tarOf(...parts.map(([name = '', content = '']) => ({ name, content })));
}

async function push(tarball: Uint8Array) {
  const pushes = '/api/v1/projects/p1/pushes';
  const { body } = await call('POST', pushes, { as: 'member', body: { bytes: tarball.length } });
  await fetch(`${server.url}${pushes}/${body.id}?offset=0`, {
    ...{ method: 'PUT', body: new Uint8Array(tarball) },
    headers: { authorization: `Bearer ${server.tokens['member']}`, 'content-type': 'application/octet-stream' },
  });
  return await eventually(async () => {
    const { body: now } = await call('GET', `${pushes}/${body.id}`, { as: 'viewer' });
    expect(['accepted', 'refused']).toContain(now.state);
    return now;
  });
}

const faults = async (tarball: Uint8Array): Promise<[string, string][]> => {
  const { state, errors } = await push(tarball);
  expect(state).toBe('refused');
  return errors.map(({ path, message }: { path: string; message: string }) => [path, message]);
};

describe('a project', () => {
  it('that is wrong in itself and in its files is told both at once (C-88, C-89, C-93)', async () => {
    const wrong = { version: 0, build: { dockerfile: 'Other' }, validation: { files: ['none.txt', 7] } };

    const told = await faults(packed(wrong));

    expect(told.slice(0, 1)).toEqual([['/version', 'version must be a positive integer']]);
    expect(told).toContainEqual(['/build/dockerfile', 'build.dockerfile does not exist in the tarball']);
    expect(told).toContainEqual(['/validation/files/0', 'is no file of the tarball']);
    expect(told.map(([path]) => path)).toContain('/validation/files/1');
  });

  it('has its manifest, its Dockerfile and the images of that judged at once (C-88)', async () => {
    const Dockerfile = `FROM ${base}\nADD https://example.com/x /x\n`;
    const told = await faults(packed({ version: 0 }, { Dockerfile, '.dockerignore': '!\n' }));
    const absent = await faults(packed({ version: 0 }, { Dockerfile: `FROM ${server.registry.host}/team/none:2\n` }));

    expect(told).toEqual([
      ['/version', 'version must be a positive integer'],
      ['/build/context', '.dockerignore line 1 has an exception from nothing'],
      ['/build/dockerfile', expect.stringContaining('line 2 of Dockerfile ')],
    ]);
    expect(absent.map(([path]) => path)).toEqual(['/version', '/build/dockerfile']);
    // Nobody knows which file it is.
    expect((await faults(packed({ version: 0, build: 7 }, { Dockerfile }))).map(([path]) => path)).toEqual([
      '/version',
      '/build',
    ]);
  });

  it('is told of a target that is no stage, and of values that no ARG takes (C-13, C-14)', async () => {
    const build = { target: 'none', args: { USED: '1', LOST: '2' } };
    const Dockerfile = `FROM ${base} AS run\nARG USED\n`;

    expect(await faults(packed({ build }, { Dockerfile }))).toEqual([['/build/target', 'is no stage of Dockerfile']]);
    const { warnings } = await push(packed({ build: { ...build, target: 'run' } }, { Dockerfile }));
    expect(warnings).toContainEqual({
      ...{ path: '/build/args/LOST', code: 'ignored' },
      message: 'has no effect: no ARG of Dockerfile has that name',
    });
    expect(warnings.map(({ path }: { path: string }) => path)).not.toContain('/build/args/USED');
  });

  it('is told of variables of init commands that its Dockerfile sets, beside what else is wrong (C-25, C-88)', async () => {
    const command = { command: ['true'], env: { UV_LINK_MODE: 'copy', OWN: '1' } };
    const runtime = { ...manifest.runtime, init: { commands: [{ command: [] }, command] } };
    const Dockerfile = `FROM ${base} AS other\nENV OWN=2\nFROM ${base}\nENV UV_LINK_MODE=copy\n`;

    expect((await faults(packed({ runtime }, { Dockerfile }))).map(([path]) => path)).toEqual([
      '/runtime/init/commands/0/command',
      '/runtime/init/commands/1/env/UV_LINK_MODE',
    ]);
  });

  it('may have a .dockerignore, which is told by its line where it cannot be read', async () => {
    expect(await push(packed({}, { '.dockerignore': 'data\n' }))).toMatchObject({ state: 'accepted' });
    expect(await faults(packed({}, { '.dockerignore': 'data\n!\n[z-a]\n' }))).toEqual([
      ['/build/context', '.dockerignore line 2 has an exception from nothing'],
      ['/build/context', '.dockerignore line 3 has a range in a [ that ends before it begins'],
    ]);
  });

  it('becomes a revision, the same whoever packs it, with its bases by digest (C-1, X-14)', async () => {
    const accepted = await push(packed());
    const again = await push(gzipSync(packed()));

    expect(accepted).toMatchObject({ state: 'accepted', failure: null, errors: [] });
    expect(again.revision_sha256).toBe(accepted.revision_sha256);
    const sha256 = accepted.revision_sha256;
    const { body } = await call('GET', `/api/v1/projects/p1/revisions/${sha256}`, { as: 'viewer' });
    expect(body).toMatchObject({ sha256, files: 3, accepting_jobs: true, prepared_on: [] });
    expect(body.bases).toMatchObject([{ from: base, reference: expect.stringContaining(server.imageDigest) }]);
    const kept = readFileSync(join(server.revisionFolder, 'p1', sha256));
    expect([createHash('sha256').update(kept).digest('hex'), kept.length]).toEqual([sha256, body.bytes]);
    const shown = await call('GET', `/api/v1/projects/p1/revisions/${sha256}/manifest`, { as: 'viewer' });
    expect(shown.body.manifest).toEqual(manifest);
  });

  it('that is pushed again keeps the images that it was accepted with, and that is said', async () => {
    const tar = packed({}, { 'job.py': 'print(2)' });
    const first = await push(tar);
    const old = `${base.replace(/:1$/, '')}@sha256:${'0'.repeat(64)}`;
    await server.store.write(async (tx) => {
      const revision = await tx.revisions.find({ project_id: 'p1', sha256: first.revision_sha256 });
      if (!revision) throw new Error('there is a revision');
      await tx.revisions.put({ ...revision, bases: revision.bases.map((each) => ({ ...each, reference: old })) });
    });

    const again = await push(tar);

    expect(again.warnings).toMatchObject([
      ...first.warnings,
      { path: '/build/dockerfile', message: `names ${base}, which is another image by now: the revision keeps ${old}` },
    ]);
    const { body } = await call('GET', `/api/v1/projects/p1/revisions/${first.revision_sha256}`, { as: 'viewer' });
    expect(body.bases).toMatchObject([{ from: base, reference: old }]);
  });

  it('has all that is wrong with its manifest told at once (C-88, C-89, C-90, C-91, C-92)', async () => {
    const wrong = { version: 0, runtime: { kind: 'vm', workdir: 'workspace' }, entrypoint: { command: [] } };

    expect(await faults(packed(wrong))).toEqual(
      expect.arrayContaining([
        ['/version', 'version must be a positive integer'],
        ['/runtime/kind', 'runtime.kind must be tarball or oci'],
        ['/runtime/workdir', 'runtime.workdir must be an absolute path'],
        ['/entrypoint/command', 'entrypoint.command must be a non-empty string array'],
      ]),
    );
  });

  it('needs the files and folders that it names, its caches too (C-84, C-85, C-86, C-93, C-94)', async () => {
    const build = { dockerfile: 'docker/Dockerfile', context: 'src' };
    const missing = await faults(packed({ build, validation: { files: ['absent.py'] } }));
    const source = { name: 'w', source: 'huggingface', uri: 'hf://a/b', delivery: 'mount', path: '/workspace/m' };
    const caches = await faults(packed({ data_sources: [{ ...source, cache: 'nobody' }] }));

    expect(missing).toEqual(
      expect.arrayContaining([
        ['/build/dockerfile', 'build.dockerfile does not exist in the tarball'],
        ['/build/context', 'build.context does not resolve to a directory'],
        ['/validation/files/0', 'is no file of the tarball'],
      ]),
    );
    expect(caches.map(([path]) => path)).toEqual(['/data_sources/0/cache']);
  });

  it.each([['a/../../b'], ['a\\b'], ['a\0b']])('has no path as %j (C-87)', async (dockerfilePath) => {
    expect((await faults(packed({ build: { dockerfile: dockerfilePath } }))).map(([path]) => path)).toContain(
      '/build/dockerfile',
    );
  });

  it('is built on images of registries that are taken, and that are there', async () => {
    const foreign = await faults(packed({}, { Dockerfile: 'FROM evil.example.com/team/x:1\n' }));
    const absent = await faults(packed({}, { Dockerfile: `FROM ${server.registry.host}/team/none:2\n` }));
    const strange = await faults(packed({}, { Dockerfile: `FROM ${base}\nADD https://example.com/x /x\n` }));

    expect(foreign).toMatchObject([
      ['/build/dockerfile', expect.stringContaining('names evil.example.com/team/x:1: ')],
    ]);
    expect(absent).toMatchObject([['/build/dockerfile', expect.stringContaining('/team/none:2')]]);
    expect(strange).toMatchObject([['/build/dockerfile', expect.stringContaining('line 2 of Dockerfile ')]]);
  });
});

/** `gpuaas jobs push`, against a control plane in this process. */
import { createHash } from 'node:crypto';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { openFolder } from '../../../../src/kit/tarball/open-folder.ts';
import { canonicalTar } from '../../../../src/kit/tarball/write-tar.ts';
import { haveRevision } from '../../../support/revision-samples.ts';
import { runGpuaas } from '../../../support/run-gpuaas.ts';
import { temporaryFolder } from '../../../support/temporary-folder.ts';
import { testServer } from '../../../support/test-server.ts';
import { tarOf } from '../../kit/tarball/tar-bytes.ts';

const server = await testServer();
const place = temporaryFolder('cli-push');
const token = (who: string) => server.tokens[who] ?? '';
const run = (...words: string[]) => runGpuaas({ url: server.url, token: token('member') }, ['jobs', 'push', ...words]);
const asAdmin = (...words: string[]) =>
  runGpuaas({ url: server.url, token: token('admin') }, ['jobs', 'push', ...words]);
const pushes = async () => await server.store.read((tx) => tx.pushes.list({}));

const smallest = {
  version: 1,
  runtime: { kind: 'oci', sandbox: 'gvisor', workdir: '/workspace' },
  entrypoint: { command: ['python', 'job.py'] },
};

function project(name: string, more: Readonly<Record<string, string | Buffer>> = {}): string {
  const folder = join(place, name);
  mkdirSync(folder);
  const files = { 'computalot.project.json': JSON.stringify(smallest), Dockerfile: 'FROM scratch\n', 'job.py': name };
  for (const [path, content] of Object.entries({ ...files, ...more })) writeFileSync(join(folder, path), content);
  return folder;
}

async function tarOfFolder(folder: string) {
  const tar = await buffer(canonicalTar(await openFolder(folder)).stream());
  return { tar, sha256: createHash('sha256').update(tar).digest('hex') };
}

describe('gpuaas jobs push', () => {
  it('sends nothing where the files are a revision already, as folder, tar or gzip', async () => {
    const folder = project('first');
    const { tar, sha256 } = await tarOfFolder(folder);
    writeFileSync(join(place, 'first.tar.gz'), gzipSync(tar));
    await haveRevision(server, tar);

    const again = await run(folder);
    const packed = await run(join(place, 'first.tar.gz'), '--json');

    expect([again.status, again.out]).toEqual([0, `${sha256} was there already and nothing was sent; it takes jobs\n`]);
    expect(again.err).toBe(`3 files, 0.0 MiB, sha256 ${sha256}\n`);
    expect(JSON.parse(packed.out)).toMatchObject({ sha256, is_new: false, accepting_jobs: true, prepared_on: [] });
    expect((await pushes()).filter((push) => push.sha256 === sha256)).toEqual([]);
  });

  it('tells what is accepted and worth a look', async () => {
    const folder = project('warned');
    const warnings = [{ path: '', code: 'no_artifacts', message: 'declares no artifacts' }];
    await haveRevision(server, (await tarOfFolder(folder)).tar, { warnings });

    expect((await run(folder)).err).toMatch(/\nwarning: \/ declares no artifacts\n$/);
    expect((await run(folder, '--json')).err).not.toContain('warning: ');
  });

  it('sends all of it otherwise, and tells what only the control plane finds', async () => {
    const folder = project('nowhere', { Dockerfile: 'FROM nowhere.invalid/x:1\n' });
    const { sha256 } = await tarOfFolder(folder);

    const { status, err } = await run(folder);

    expect(status).toBe(3);
    expect(err).toMatch(
      new RegExp(
        `^3 files, 0\\.0 MiB, sha256 ${sha256}\nsent 0% of 0\\.0 MiB\nsent 100% of 0\\.0 MiB\nerror: .*\\[push\\.refused\\]\n  /`,
      ),
    );
  });

  it('goes on where it was interrupted, whoever had begun', async () => {
    const folder = project('long', { data: Buffer.alloc(9 * 2 ** 20, 'd') });
    const { tar, sha256 } = await tarOfFolder(folder);
    const begun = await server.call('POST', '/api/v1/projects/p1/pushes', { body: { bytes: tar.length, sha256 } });
    await fetch(`${server.url}/api/v1/projects/p1/pushes/${begun.body.id}?offset=0`, {
      ...{ method: 'PUT', body: new Uint8Array(tar.subarray(0, 6_000_000)) },
      headers: { authorization: `Bearer ${token('member')}`, 'content-type': 'application/octet-stream' },
    });

    const { err } = await run(folder, '--json');

    const told = err
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(told.filter(({ type }) => type === 'sent').map(({ received }) => received)).toEqual([6_000_000, tar.length]);
    expect((await pushes()).filter((push) => push.sha256 === sha256)).toHaveLength(1);
  });

  it('tells every entry of a tarball that is not taken, by its path, and sends nothing (C-87, C-88)', async () => {
    const hostile = join(place, 'hostile.tar');
    writeFileSync(hostile, tarOf({ name: '/etc/cron.d/x' }, { name: 'disk', type: '4' }, { name: 'a\\b' }));
    const before = await pushes();

    const { status, err } = await run(hostile);

    expect(status).toBe(3);
    expect(err).toContain('[push.refused]');
    expect(err).toContain(
      '  /etc/cron.d/x: is an absolute path\n  disk: is a device\n  a\\b: has a backslash in its path\n',
    );
    expect(await pushes()).toEqual(before);
  });

  it('tells of links of a folder that lead outside, and of a manifest in a sub-folder (C-2)', async () => {
    const folder = project('links');
    symlinkSync('/etc/passwd', join(folder, 'passwd'));
    const above = join(place, 'above');
    mkdirSync(above);
    mkdirSync(join(above, 'inside'));
    writeFileSync(join(above, 'inside/computalot.project.json'), '{}');

    const linked = await run(folder);
    const nested = await run(above, '--json');

    expect([linked.status, linked.err]).toEqual([
      3,
      expect.stringContaining('passwd: is a link that leads outside the tarball: "/etc/passwd"'),
    ]);
    expect(nested.status).toBe(3);
    expect(JSON.parse(nested.out).failure.detail.errors).toMatchObject([
      { path: '', code: 'missing', message: expect.stringContaining('as inside/computalot.project.json') },
    ]);
  });

  it('tells all that is wrong with a manifest and its files at once, with pointers, before anything is sent (C-86, C-88)', async () => {
    const source = { name: 'w', source: 'huggingface', uri: 'hf://a/b', delivery: 'mount', path: '/m', cache: 'none' };
    const faults = { runtime: { ...smallest.runtime, workdir: 'workspace' }, data_sources: [source] };
    const folder = project('faults', { 'computalot.project.json': JSON.stringify({ ...smallest, ...faults }) });
    const files = { build: { dockerfile: 'no/Dockerfile', context: 'no' }, validation: { files: ['gone.py'] } };
    const lacking = project('lacking', { 'computalot.project.json': JSON.stringify({ ...smallest, ...files }) });
    const before = await pushes();

    const [first, second] = [await run(folder), await run(lacking)];

    expect([first.status, second.status]).toEqual([3, 3]);
    expect(first.err).toContain('/runtime/workdir: runtime.workdir must be an absolute path');
    expect(first.err).toContain('/data_sources/0/cache: ');
    expect(second.err).toContain('/build/dockerfile: build.dockerfile does not exist in the tarball');
    expect(second.err).toContain('/build/context: build.context does not resolve to a directory');
    expect(second.err).toContain('/validation/files/0: ');
    expect(await pushes()).toEqual(before);
  });

  it('says what it leaves out', async () => {
    const folder = project('left');
    mkdirSync(join(folder, '.git'));
    const { tar } = await tarOfFolder(folder);
    await haveRevision(server, tar);

    expect((await run(folder)).err).toContain('Left out: .git\n');
  });

  it('asks which project, where the token sees several, and which file, where there is none', async () => {
    const folder = project('which');

    expect(await asAdmin(folder)).toMatchObject({ status: 3, err: expect.stringContaining('--project') });
    expect(await asAdmin(folder, '--project', 'p9')).toMatchObject({ status: 3 });
    expect(await run(join(place, 'not-there'))).toMatchObject({
      status: 2,
      err: expect.stringContaining('There is no'),
    });
    expect(await run('/dev/null')).toMatchObject({
      status: 2,
      err: expect.stringContaining('is no file and no folder'),
    });
  });
});

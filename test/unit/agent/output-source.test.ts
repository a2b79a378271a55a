/** Outputs of jobs that another attempt goes on with: fetched from the control plane, to the path that they came from. */
import { readlinkSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { controlPlaneOrigin } from '../../../src/agent/control-plane/origin.ts';
import { revisionSource } from '../../../src/agent/control-plane/revision-source.ts';
import { jobOutputsPath } from '../../../src/contract/signing.ts';
import { filesBelow, type GroundOptions, inputsGround, reasonOf } from '../../support/inputs-ground.ts';
import {
  type Content,
  contentOf,
  cutAfter,
  largeContent,
  loopbackSource,
  sendContent,
} from '../../support/loopback-source.ts';
import { type Part, tarOf } from '../kit/tarball/tar-bytes.ts';

const mebibyte = 1024 * 1024;
const checkpoint = largeContent(2 * mebibyte + 7);

/** A control plane that has outputs of `job-1`. */
async function controlPlane(...contents: readonly (typeof checkpoint)[]) {
  const server = await loopbackSource(async (request, response, url) => {
    const content = contents.find(({ sha256 }) => url.pathname === `${jobOutputsPath}/job-1/${sha256}`);
    if (request.headers.authorization !== 'Bearer secret-bearer') response.writeHead(401).end();
    else if (content) await sendContent(request, response, content);
    else response.writeHead(404).end();
  });
  const revisions = revisionSource(controlPlaneOrigin(server.origin), () => 'secret-bearer');
  const host = ({ policy, ...options }: GroundOptions = {}) =>
    inputsGround({ revisions, policy: { allow: [], ...policy }, ...options });
  return { ...server, host };
}

const outputOf = (content: { sha256: string; size: number }, over: { job_id?: string; path?: string } = {}) => ({
  ...{ kind: 'output' as const, job_id: 'job-1', name: 'checkpoint', sha256: content.sha256, bytes: content.size },
  ...{ path: './ckpt/latest.pt', media_type: 'application/octet-stream' as const, ...over },
});

const folderOf = (content: Content, path = './ckpt/') =>
  ({ ...outputOf(content), path, media_type: 'application/x-tar' }) as const;
const archive = (...parts: readonly Part[]) => contentOf(tarOf(...parts));
const shard: Part = { name: 'shard-0.pt', content: 'weights' };

describe('an output of a job', () => {
  it('is laid where it came from, by the bearer of the session and whatever places jobs may name', async () => {
    const { asked, host } = await controlPlane(checkpoint);
    const { provide, paths } = host();

    expect(await provide(outputOf(checkpoint))).toMatchObject({ files: 1, bytes: checkpoint.size, from_cache: false });

    expect(paths()).toEqual(['ckpt/latest.pt']);
    expect(asked.map(({ url, authorization }) => [url, authorization])).toEqual([
      [`${jobOutputsPath}/job-1/${checkpoint.sha256}`, 'Bearer secret-bearer'],
    ]);
  });

  it('goes on where it was cut', async () => {
    const { asked, faults, host } = await controlPlane(checkpoint);
    faults.push(cutAfter(mebibyte, checkpoint));

    expect(await host().provide(outputOf(checkpoint))).toMatchObject({ bytes: checkpoint.size });

    expect(asked.map(({ range }) => range)).toEqual([undefined, `bytes=${mebibyte}-${checkpoint.size - 1}`]);
  });

  it('is the newer one where that comes to the same path later, and not what was kept of the one before', async () => {
    const [older, newer] = [contentOf('older'), contentOf('newer')];
    const { host } = await controlPlane(older, newer);
    const { provide, text } = host();
    await provide(outputOf(older));

    await provide(outputOf(newer), { job: 'job-2' });

    expect([text('ckpt/latest.pt'), text('ckpt/latest.pt', 'job-2')]).toEqual(['older', 'newer']);
  });

  it('that is damaged, or not to be had, is refused, and nothing of it is laid', async () => {
    const good = contentOf('good');
    const { host } = await controlPlane({ ...contentOf('evil'), sha256: good.sha256 });
    const { provide, dir } = host();

    expect(await reasonOf(provide(outputOf(good)))).toMatch(/^input.refused: .*sha256/);
    expect(await reasonOf(provide(outputOf(contentOf('gone'))))).toMatch(/status 404/);
    expect(filesBelow(dir).filter((path) => path.startsWith(join('jobs', 'job-1')))).toEqual([]);
  });

  it.each(['../latest.pt', 'a/../../latest.pt', '/etc/passwd'])(
    'at %s is refused before it is asked for',
    async (path) => {
      const { asked, host } = await controlPlane(checkpoint);

      expect(await reasonOf(host().provide(outputOf(checkpoint, { path })))).toMatch(/^input.refused: .*name/);
      expect(asked).toEqual([]);
    },
  );

  it('that is a folder is unpacked where it came from: all of it, with its links and programs', async () => {
    const parts: Part[] = [
      { name: 'empty/', type: '5', mode: 0o755 },
      { name: '.git/HEAD', content: 'main' },
      { name: 'latest', type: '2', link: 'step/7.pt' },
      { name: 'step/7.pt', content: 'seven' },
      { name: 'step/same.pt', type: '1', link: 'step/7.pt' },
      { name: 'step/__pycache__/a.pyc', content: 'c' },
      { name: 'step/run.sh', mode: 0o755 },
    ];
    const tar = archive(...parts);
    const { host } = await controlPlane(tar);
    const { provide, paths, text, inputs, dir } = host();
    const at = (path: string) => join(inputs.folderOf('job-1', 'models'), 'ckpt', path);

    const provided = await provide(folderOf(tar));

    expect(provided).toMatchObject({ files: 5, bytes: 15 });
    expect(paths()).toEqual(
      ['.git/HEAD', 'latest', 'step/7.pt', 'step/__pycache__/a.pyc', 'step/run.sh', 'step/same.pt'].map(
        (path) => `ckpt/${path}`,
      ),
    );
    expect([text('ckpt/latest'), text('ckpt/step/same.pt'), readlinkSync(at('latest'))]).toEqual([
      ...['seven', 'seven', 'step/7.pt'],
    ]);
    expect(['empty', 'step', 'step/7.pt', 'step/run.sh'].map((path) => statSync(at(path)).mode & 0o777)).toEqual([
      ...[0o755, 0o755, 0o444, 0o555],
    ]);
    expect(filesBelow(join(dir, 'cache/unpacked'))).toEqual([]);
  });

  it('that is all of a volume is unpacked there, beside what other inputs have laid', async () => {
    const [tar, file] = [archive(shard, { name: 'BZh' }), contentOf('file')];
    const { host } = await controlPlane(tar, file);
    const { provide, paths } = host();
    await provide(outputOf(file));

    await provide(folderOf(tar, './'), { input: { id: 'all' } });

    expect(paths()).toEqual(['BZh', 'ckpt/latest.pt', 'shard-0.pt']);
  });

  it('that is a folder is not fetched again for the next job, nor laid again for the same', async () => {
    const tar = archive(shard);
    const { asked, host } = await controlPlane(tar);
    const { provide, text } = host();
    await provide(folderOf(tar));

    expect(await provide(folderOf(tar), { job: 'job-2' })).toMatchObject({ files: 1, from_cache: true });
    await provide(folderOf(tar));

    expect([asked.length, text('ckpt/shard-0.pt', 'job-2')]).toEqual([1, 'weights']);
  });

  it.each<[string, RegExp, ...Part[]]>([
    ['a path that climbs', /climbs/, { name: '../../x', content: 'x' }],
    ['an absolute path', /absolute/, { name: '/etc/x', content: 'x' }],
    ['a link that leads out', /leads outside/, { name: 'l', type: '2', link: '../x' }],
    ['a hard link to what is not in it', /hard link/, { name: 'l', type: '1', link: 'etc/passwd' }],
    ['a device', /is a device/, { name: 'sda', type: '4' }],
    ['a file in a link', /no folder/, { name: 'd', type: '2', link: 'e' }, { name: 'd/x', content: 'x' }],
  ])('that is a folder with %s is refused, and nothing of it is laid', async (_, reason, ...parts) => {
    const tar = archive(shard, ...parts);
    const { host } = await controlPlane(tar);
    const { provide, dir } = host();

    expect(await reasonOf(provide(folderOf(tar)))).toMatch(new RegExp(`^input.refused: .*${reason.source}`));

    expect(filesBelow(dir).filter((path) => /^(jobs|cache.unpacked)/.test(path))).toEqual([]);
  });

  it('that is a folder and no tar, or damaged, is refused', async () => {
    const [text, good] = [contentOf('no tar at all'), archive(shard)];
    const { host } = await controlPlane(text, { ...archive({ ...shard, content: 'changed' }), sha256: good.sha256 });
    const { provide } = host();

    expect(await reasonOf(provide(folderOf(text)))).toMatch(/^input.refused: .*is no tar/);
    expect(await reasonOf(provide(folderOf(good), { job: 'job-2' }))).toMatch(/^input.refused: .*sha256/);
  });

  it('that is a folder has room on the disk before any of it is unpacked', async () => {
    const tar = archive({ name: 'a', content: 'a'.repeat(5000) });
    const { host } = await controlPlane(tar);
    const free = [tar.size, 4999];
    const { provide, dir } = host({ readFree: async () => free.shift() ?? 4999 });

    expect(await reasonOf(provide(folderOf(tar)))).toMatch(/^disk.full: /);

    expect(filesBelow(dir).filter((path) => path.startsWith('jobs'))).toEqual([]);
  });

  it('is never laid through a link, whoever has laid that', async () => {
    const [tar, file] = [archive({ name: 'ckpt', type: '2', link: 'other' }, { name: 'other/a' }), contentOf('file')];
    const { host } = await controlPlane(tar, file);
    const { provide, inputs } = host();
    await provide(folderOf(tar, '.'));

    expect(await reasonOf(provide(outputOf(file), { input: { id: 'file' } }))).toMatch(/^input.refused: Another input/);

    expect(filesBelow(join(inputs.folderOf('job-1', 'models'), 'other'))).toEqual(['a']);
  });

  it('cannot be had without a control plane', async () => {
    expect(await reasonOf(inputsGround().provide(outputOf(checkpoint)))).toMatch(/^input.refused: .*no control plane/);
  });
});

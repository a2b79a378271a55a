/** What a build is given of a revision, and what of it no build is begun of. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { expect, it } from 'vitest';
import type { BuildImage } from '../../../src/contract/job-build.ts';
import { buildContext } from '../../../src/jobs/build-context.ts';
import { openTarball } from '../../../src/kit/tarball/open-tarball.ts';
import { contentOf } from '../../../src/kit/tarball/write-tar.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';
import { tarOf } from '../kit/tarball/tar-bytes.ts';

const folder = temporaryFolder('build-context');
const base = `registry.example/python@sha256:${'a'.repeat(64)}`;
const source: BuildImage = {
  ...{ kind: 'build', revision_sha256: 'b'.repeat(64), revision_bytes: 1, dockerfile: 'docker/Dockerfile' },
  ...{ context: 'app', args: {}, bases: { 'python:3.11': base }, init: [], work_dir: '/app', network: 'none' },
  timeout_seconds: 60,
};
const dockerfile = 'FROM python:3.11\nENV MODE=fast\nCOPY . /app\n';

async function contextOf(files: Record<string, string>, over: Partial<BuildImage> = {}, env: readonly string[] = []) {
  const file = join(folder, 'revision.tar');
  const all = { 'app/job.py': 'print(1)', 'docker/Dockerfile': dockerfile, ...files };
  writeFileSync(file, tarOf(...Object.entries(all).map(([name, content]) => ({ name, content }))));
  const { stream } = await buildContext(file, { ...source, ...over }, async (of) => (of === base ? env : []));
  return await buffer(stream);
}

const init = { label: 'one', command: ['make', 'x'], cwd: 'sub', env: { UPTO: '1' } };

it('has what its base sets for an init command alone (C-25)', async () => {
  const context = await contextOf({}, { init: [init] }, ['UPTO=9']);

  expect(String(context)).toContain('\nENV UPTO="1"\nWORKDIR "/app/sub"\nRUN ["make","x"]\nENV UPTO="9"\n');
});

it('begins with its Dockerfile by digest, init commands behind, and has the files of its folder alone', async () => {
  const context = await contextOf({ '.gpuaas.Dockerfile': 'x' }, { init: [init] });

  const file = join(folder, 'context.tar');
  writeFileSync(file, context);
  const tarball = await openTarball({ file, spool: `${file}.tar` });
  expect(tarball.entries.map(({ path }) => path)).toEqual(['.gpuaas.Dockerfile', 'job.py']);
  expect(context.subarray(0, 18).toString()).toBe('.gpuaas.Dockerfile');
  expect(
    String(await buffer(contentOf(tarball, '.gpuaas.Dockerfile').stream()))
      .trim()
      .split('\n'),
  ).toEqual([
    ...[`FROM ${base} AS stage0`, 'ENV MODE=fast', 'COPY . /app'],
    ...['FROM stage0 AS stage1', 'ARG UPTO="1"', 'WORKDIR "/app/sub"', 'RUN ["make","x"]'],
  ]);
});

it.each<[string, Record<string, string>, string[]]>([
  [
    'in its folder',
    { 'app/.dockerignore': 'data\n!data/keep/x\n' },
    ['.dockerignore', 'data', 'data/keep', 'data/keep/x'],
  ],
  [
    'at the root, which is not that of its folder',
    { '.dockerignore': '*\n' },
    ['data', 'data/keep', 'data/keep/x', 'data/y'],
  ],
  [
    'of its Dockerfile, which goes before the other',
    {
      ...{ 'app/.dockerignore': '', 'docker/Dockerfile.dockerignore': '.dockerignore\ndata/keep\n' },
    },
    ['data', 'data/y'],
  ],
])('a .dockerignore %s says what is left out', async (_, files, rest) => {
  const file = join(folder, 'context.tar');
  writeFileSync(file, await contextOf({ 'app/data/y': 'y', 'app/data/keep/x': 'x', ...files }));

  const { entries } = await openTarball({ file, spool: `${file}.tar` });

  expect(entries.map(({ path }) => path).filter((path) => !['.gpuaas.Dockerfile', 'job.py'].includes(path))).toEqual(
    rest,
  );
});

it.each<[string, Record<string, string>, Partial<BuildImage>, string]>([
  [
    'whose Dockerfile is wrong',
    { 'docker/Dockerfile': 'FROM python:3.11\nRUN --mount=x y' },
    {},
    'docker/Dockerfile:2',
  ],
  ['without its Dockerfile', {}, { dockerfile: 'Dockerfile' }, 'Dockerfile'],
  ['without its folder', {}, { context: 'src' }, 'src'],
  ['on a base that the plan does not have', {}, { bases: {} }, 'docker/Dockerfile'],
  ['with an init command whose variable the image has', {}, { init: [{ ...init, env: { MODE: 'slow' } }] }, 'MODE'],
  ['with one that its base has on two lines', {}, { init: [{ ...init, env: { LINES: '1' } }] }, 'LINES'],
  ['with a .dockerignore that cannot be read', { 'app/.dockerignore': '[\n' }, {}, 'app/.dockerignore'],
])('a project %s is refused', async (_, files, over, path) => {
  await expect(contextOf(files, over, ['LINES=a\nb'])).rejects.toMatchObject({
    code: 'task.invalid',
    detail: { errors: [{ path }] },
  });
});

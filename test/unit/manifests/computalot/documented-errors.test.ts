/**
 * Every error of the format's documentation: the sentences that it prints are said word for word, and what it says is refused or
 * enforced without a sentence of its own is shown by the test that is named here.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { PathError } from '../../../../src/contract/validate.ts';
import { openFolder } from '../../../../src/kit/tarball/open-folder.ts';
import { readComputalotJob } from '../../../../src/manifests/computalot/read-job.ts';
import { judgeManifest } from '../../../../src/manifests/dialects.ts';
import { judgeFiles } from '../../../../src/server/revisions/judge-files.ts';
import { changed, smallest } from '../../../support/project-manifests.ts';
import { titlesOf } from '../../../support/requirements.ts';
import { temporaryFolder } from '../../../support/temporary-folder.ts';

const root = resolve(import.meta.dirname, '../../../..');
const place = temporaryFolder('documented-errors');

/** Files of a project; the document of `computalot.project.json` is beside them. */
async function packed(name: string, paths: readonly string[]) {
  const folder = join(place, name);
  mkdirSync(folder);
  for (const path of paths) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), path.endsWith('Dockerfile') ? 'FROM scratch\n' : 'x');
  }
  return await openFolder(folder);
}

const complete = await packed('complete', ['Dockerfile', 'job.py']);
const withoutDockerfile = await packed('without-dockerfile', ['docker/Dockerfile', 'job.py']);
const told = (errors: readonly PathError[]) => errors.map(({ path, message }) => [path, message]);
const at = (pointer: string, ...values: readonly unknown[]) => values.map((value) => changed(smallest, pointer, value));

describe('the documentation prints the sentence', () => {
  it.each<[string, string, string, readonly object[]]>([
    ['C-89', 'version must be a positive integer', '/version', at('/version', 0, -1, 1.5, '1', null, undefined)],
    [
      'C-6, C-90',
      'runtime.kind must be tarball or oci',
      '/runtime/kind',
      at('/runtime/kind', 'docker', '', 1, undefined),
    ],
    [
      ...(['C-7, C-91', 'runtime.workdir must be an absolute path', '/runtime/workdir'] as const),
      at('/runtime/workdir', 'workspace', './workspace', '', 1, undefined),
    ],
    [
      ...(['C-9, C-92', 'entrypoint.command must be a non-empty string array', '/entrypoint/command'] as const),
      [...at('/entrypoint/command', [], 'python job.py', ['python', 1], null, undefined), ...at('/entrypoint', {}, 7)],
    ],
  ])('%s "%s": it is said at validation, push and submission', async (_row, sentence, path, documents) => {
    for (const document of documents) {
      const expected = [[path, sentence]];
      const submitted = readComputalotJob(document);

      expect(told(judgeManifest(JSON.stringify(document)).errors), JSON.stringify(document)).toEqual(expected);
      expect(told((await judgeFiles(complete, document)).errors)).toEqual(expected);
      expect(submitted.ok ? [] : told(submitted.errors)).toEqual(expected);
    }
  });

  it.each<[string, string, string, readonly [object, typeof complete][]]>([
    [
      ...(['C-16, C-93', 'build.dockerfile does not exist in the tarball', '/build/dockerfile'] as const),
      [
        [smallest, withoutDockerfile],
        [{ ...smallest, build: { dockerfile: 'other/Dockerfile' } }, complete],
        [{ ...smallest, build: { dockerfile: 'docker' } }, withoutDockerfile],
      ],
    ],
    [
      ...(['C-94', 'build.context does not resolve to a directory', '/build/context'] as const),
      [
        [{ ...smallest, build: { context: 'absent' } }, complete],
        [{ ...smallest, build: { context: 'job.py' } }, complete],
      ],
    ],
  ])('%s "%s": it is said at push, where the files are', async (_row, sentence, path, projects) => {
    for (const [document, tarball] of projects) {
      expect(judgeManifest(JSON.stringify(document)).valid).toBe(true);
      expect(told((await judgeFiles(tarball, document)).errors)).toEqual([[path, sentence]]);
    }
  });

  it('and all of them at once', async () => {
    const wrong = { ...changed(smallest, '/runtime', { kind: 'vm', sandbox: 'gvisor', workdir: 'w' }), version: 0 };
    const { errors } = await judgeFiles(withoutDockerfile, { ...wrong, entrypoint: { command: [] } });

    expect(told(errors)).toEqual([
      ['/version', 'version must be a positive integer'],
      ['/runtime/kind', 'runtime.kind must be tarball or oci'],
      ['/entrypoint/command', 'entrypoint.command must be a non-empty string array'],
      ['/runtime/workdir', 'runtime.workdir must be an absolute path'],
      ['/build/dockerfile', 'build.dockerfile does not exist in the tarball'],
    ]);
  });
});

/** What the documentation says without a sentence to say it in, and the test that shows what comes of it. */
const judged = 'unit/manifests/computalot/read-manifest';
const files = 'unit/manifests/computalot/check-against-files';
const outcomes: readonly (readonly [what: string, file: string, title: string])[] = [
  ['another version than the current one', judged, 'C-5 its version is a later one'],
  ['a project of the kind tarball, which the sentence names', judged, 'C-90 its kind is tarball'],
  ['no sandbox', judged, 'never goes without a sandbox'],
  ['a workdir that is no path', judged, 'C-82 the workdir climbs'],
  ['a cache at a relative path', judged, 'C-49 a path of a cache is relative'],
  ['a Dockerfile by an absolute path', judged, 'C-11, C-83 the Dockerfile is absolute'],
  ['a context outside the tarball', judged, 'C-12, C-83 the context climbs'],
  ['a command in an absolute folder', judged, 'C-24, C-83 a cwd is absolute'],
  ['a service in a folder outside', judged, 'C-32 a cwd of a service climbs'],
  ['a cache that is not declared', judged, 'C-65, C-86 a cache is unknown'],
  ['a scope of a cache that is none', judged, 'C-48 a scope of a cache is unknown'],
  ['a class of a cache that is none', judged, 'C-51 a class is unknown'],
  ['a scope of a service that is none', judged, 'C-30 a scope is unknown'],
  ['a restart policy that is none', judged, 'C-31 a restart is unknown'],
  ['an artifact outside its folder', judged, 'C-77 an artifact climbs'],
  ['a file of the preflight that is not pushed', files, 'C-84 a file of the preflight is not there'],
  [
    'no manifest at the root',
    'unit/server/revisions/pushes',
    'with its manifest in a sub-folder is told where that is',
  ],
  [
    ...(['an init command that fails', 'integration/gate-builds'] as const),
    'that fails tells the instruction, its number and what it has written',
  ],
  [
    ...(['a program or a file that the image lacks', 'integration/job-services'] as const),
    'is named where it is lacking, and nothing of the job is started',
  ],
  [
    ...(['a command of the preflight that fails', 'integration/job-services'] as const),
    'and a command that has to end with 0 are told apart from what the steps say',
  ],
  [
    ...(['a service that ends', 'integration/gvisor-services'] as const),
    'that ends, under the policy %s with exit %i: the job has %s after %i starts',
  ],
  [
    ...(['a service that is not ready in time', 'integration/gvisor-services'] as const),
    'that is never ready fails the job after its time, and no step begins',
  ],
  [
    ...(['a service that is not well any more', 'integration/gvisor-services'] as const),
    'that is not well any more is begun again by its policy, or fails the job',
  ],
  [
    ...(['no host with gVisor', 'unit/server/jobs/job-revisions'] as const),
    'goes to a host that offers gVisor and builds, and to no other',
  ],
  [
    ...(['no host with the cards', 'unit/server/jobs/job-revisions'] as const),
    'that asks for a card goes to a host that gives gVisor cards, of the size that they are sold as',
  ],
  [
    ...(['no host with the disk', 'unit/server/jobs/job-revisions'] as const),
    'that fits on no disk is told what most of it is for',
  ],
  [
    ...(['a cache that is larger than its max_bytes', 'integration/job-caches'] as const),
    'a cache that holds more than it may is emptied before its next use, and is not filled again',
  ],
  [
    ...(['data that cannot be fetched, required or not', 'integration/project-run'] as const),
    'its data are there before its task, read-only, out of the folder of the host; what a task fetches itself is gone with it',
  ],
  [
    ...(['an artifact that is not there, required or not', 'unit/jobs/run-job'] as const),
    'that is not there is told of by name and path, which no log takes out',
  ],
  [
    ...(['a write to the read-only file system', 'integration/job-read-only'] as const),
    'under %s, every user can write to the volumes of its job alone',
  ],
  [
    ...(['such a write that the task fails by', 'integration/project-run'] as const),
    'a task that saves beside its code as %s has failed, and is told where it can write',
  ],
  [
    ...(['a task that is killed before its end', 'integration/example-project'] as const),
    'goes on from its checkpoint when it was killed',
  ],
];

it.each(outcomes)('what comes of %s has a test that runs', (_what, file, title) => {
  const text = readFileSync(join(root, 'test', `${file}.test.ts`), 'utf8');
  const runs = titlesOf(text).filter(({ head }) => !/\.(skip|todo|fails|runIf|skipIf)\b/.test(head));
  // A row of a table, or the sentence below one.
  const rows = text
    .split('\n')
    .flatMap((line) => (/^\s*[['"]/.test(line) ? [...line.matchAll(/'((?:\\.|[^'\\])*)'/g)] : []));

  expect([...runs.map((test) => test.title), ...rows.map(([, row = '']) => row)].map(withoutIds)).toContain(title);
  expect(text).not.toMatch(/\bdescribe\.(skip|todo)/);
});

/** More of them are quoted as more of them are shown. */
function withoutIds(title: string): string {
  return title.replace(/ \([A-Z]-\d+[^()]*\)$/, '');
}

/** A manifest against the files that it was pushed with (C-15, C-16, C-84, C-85, C-93, C-94). */
import { posix } from 'node:path';
import { expect, it } from 'vitest';
import { checkAgainstFiles } from '../../../../src/manifests/computalot/check-against-files.ts';
import { readManifest } from '../../../../src/manifests/computalot/read-manifest.ts';
import { changed, smallest, whole } from '../../../support/project-manifests.ts';

/** Paths with a slash at their end are folders. */
function filesOf(...paths: readonly string[]) {
  return {
    find(path: string) {
      const plain = posix.normalize(path).replace(/\/$/, '');
      if (plain === '.') return 'root' as const;
      if (paths.includes(plain)) return { type: 'file' };
      return paths.some((entry) => entry.startsWith(`${plain}/`)) ? { type: 'directory' } : undefined;
    },
  };
}

const complete = ['docker/Dockerfile', 'app/job.py', 'app/src/main.py'];

it.each<[string, object, readonly string[], readonly string[]]>([
  ['everything is there', whole, complete, []],
  ['there is a Dockerfile at the root and nobody names one (C-15)', smallest, ['Dockerfile'], []],
  ['C-16 there is none', smallest, ['job.py'], ['/build/dockerfile: build.dockerfile does not exist in the tarball']],
  [
    'C-93 the one that is named is not there',
    whole,
    complete.slice(1),
    ['/build/dockerfile: build.dockerfile does not exist in the tarball'],
  ],
  [
    'C-93 the one that is named is a folder',
    changed(whole, '/build/dockerfile', 'docker'),
    complete,
    ['/build/dockerfile: build.dockerfile does not exist in the tarball'],
  ],
  [
    'C-94 the context is a file',
    changed(whole, '/build/context', 'docker/Dockerfile'),
    [...complete, 'job.py'],
    ['/build/context: build.context does not resolve to a directory'],
  ],
  [
    'C-94 the context is not there',
    changed(whole, '/build/context', 'nowhere'),
    [...complete, 'job.py'],
    ['/build/context: build.context does not resolve to a directory'],
  ],
  [
    'C-84 a file of the preflight is not there',
    whole,
    ['docker/Dockerfile', 'app/src/main.py'],
    ['/validation/files/0: is no file of the tarball'],
  ],
  ['C-84 such a file is at the root', whole, ['docker/Dockerfile', 'app/src/main.py', 'job.py'], []],
  [
    'a cwd is a file',
    whole,
    ['docker/Dockerfile', 'app/job.py', 'app/src'],
    ['/runtime/services/0/cwd: is no folder in the tarball'],
  ],
  ['a cwd is made by the Dockerfile', whole, ['docker/Dockerfile', 'app/job.py'], []],
])('%s', (_what, document, paths, errors) => {
  const read = readManifest(document);
  if (!read.ok) throw new Error(JSON.stringify(read.errors));

  expect(checkAgainstFiles(read.manifest, filesOf(...paths)).map(({ path, message }) => `${path}: ${message}`)).toEqual(
    errors,
  );
});

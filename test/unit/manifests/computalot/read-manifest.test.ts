/** What is refused in a project manifest, in which words, and where it is said. */
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { manifestSchemaName, manifestSchemaText } from '../../../../src/manifests/computalot/manifest-schema.ts';
import { readManifest, readManifestText } from '../../../../src/manifests/computalot/read-manifest.ts';
import { judgeManifest } from '../../../../src/manifests/dialects.ts';
import { changed, smallest, whole } from '../../../support/project-manifests.ts';

const root = resolve(import.meta.dirname, '../../../..');
const errorsOf = (document: unknown) => {
  const read = readManifest(document);
  return read.ok ? [] : read.errors.map(({ path, code, message }) => ({ path, code, message }));
};
const placesOf = (document: unknown) => errorsOf(document).map(({ path, code }) => `${path} ${code}`);
const cache = (more: object) => ({ name: 'one', scope: 'project_digest', path: '/cache/one', ...more });
const data = (more: object) => ({ name: 'w', source: 'huggingface', uri: 'hf://org/m', path: '/models/w', ...more });
const service = (more: object) => ({ name: 'one', command: ['x'], ...more });

describe('a project manifest', () => {
  it('is as small as the reference shows it (C-3)', () => {
    expect(readManifest(smallest)).toMatchObject({ ok: true });
  });

  it('is one with every field, and one without any of those that may be left out (C-10)', () => {
    expect(readManifest(whole)).toMatchObject({ ok: true, warnings: [{ code: 'shared' }, { code: 'no_cards' }] });
    expect(readManifest(changed(whole, '/runtime/services', undefined))).toMatchObject({ ok: true, warnings: [] });
    for (const key of Object.keys(whole).filter((name) => !Object.hasOwn(smallest, name))) {
      // Without its cache mounts the data source would name one that is not there.
      const less = key === 'cache_mounts' ? changed(whole, '/data_sources/0/cache', undefined) : whole;
      expect(placesOf(changed(less, `/${key}`, undefined)), key).toEqual([]);
    }
  });

  it('never goes without a sandbox (C-8)', () => {
    const bare = changed(smallest, '/runtime/sandbox', undefined);

    expect(placesOf(bare)).toEqual(['/runtime/sandbox required']);
  });

  it('is read as JSON and as YAML, and told from other kinds', () => {
    expect(
      readManifestText('version: 1\nruntime: {kind: oci, sandbox: gvisor, workdir: /w}\nentrypoint: {command: [x]}'),
    ).toMatchObject({ ok: true });
    expect(judgeManifest(JSON.stringify(smallest))).toMatchObject({ dialect: 'computalot', valid: true });
    expect(judgeManifest('{"version": 1, "runtime": {}}')).toMatchObject({ dialect: 'computalot', valid: false });
  });

  it('has a published schema, byte for byte: `gpuaas manifest schema computalot` renews it', () => {
    expect(readFileSync(join(root, 'docs/schemas', manifestSchemaName), 'utf8')).toBe(manifestSchemaText());
  });
});

it('that has no runtime and no entrypoint at all is told what it lacks, in the words of its documentation', () => {
  expect(errorsOf({}).map(({ message }) => message)).toEqual([
    'version must be a positive integer',
    'runtime.kind must be tarball or oci',
    'is missing: it must be gvisor',
    'runtime.workdir must be an absolute path',
    'entrypoint.command must be a non-empty string array',
  ]);
});

describe('it is refused, with a path, where', () => {
  it.each<[string, object, string]>([
    ['C-5 its version is a later one', changed(smallest, '/version', 2), '/version unsupported'],
    ['C-90 its kind is tarball', changed(smallest, '/runtime/kind', 'tarball'), '/runtime/kind unsupported'],
    ['C-8 its sandbox is another one', changed(smallest, '/runtime/sandbox', 'runc'), '/runtime/sandbox const'],
    ['a key is unknown', { ...smallest, more: 1 }, '/more unknown_key'],
    ['C-9 the program has no name', changed(smallest, '/entrypoint/command', ['']), '/entrypoint/command/0 empty'],
    [
      'C-11, C-83 the Dockerfile is absolute',
      changed(whole, '/build/dockerfile', '/Dockerfile'),
      '/build/dockerfile path',
    ],
    ['C-12, C-83 the context climbs', changed(whole, '/build/context', '../app'), '/build/context path'],
    ['a path has what may end a line', changed(whole, '/build/context', 'a\u2028b'), '/build/context path'],
    ['the workdir is no text', changed(smallest, '/runtime/workdir', '/a\ud800'), '/runtime/workdir path'],
    [
      'a variable of an init command is no line of text',
      changed(smallest, '/runtime/init', { commands: [{ command: ['x'], env: { A: 'a\u0085b' } }] }),
      '/runtime/init/commands/0/env/A malformed_value',
    ],
    ['C-87 a path has a backslash', changed(whole, '/build/context', 'a\\b'), '/build/context path'],
    ['C-87 a path has a NUL', changed(whole, '/build/dockerfile', 'a\0b'), '/build/dockerfile path'],
    ['C-14 an argument is no text', changed(whole, '/build/args', { A: 1 }), '/build/args/A type'],
    ['C-14 an argument has no name', changed(whole, '/build/args', { '1A': '1' }), '/build/args/1A malformed_name'],
    ['C-82 the workdir climbs', changed(smallest, '/runtime/workdir', '/a/../b'), '/runtime/workdir path'],
    [
      'the workdir is the platform’s',
      changed(smallest, '/runtime/workdir', '/computalot/x'),
      '/runtime/workdir system_path',
    ],
    ['the workdir is the kernel’s', changed(smallest, '/runtime/workdir', '/proc/1'), '/runtime/workdir path'],
    [
      'C-24, C-83 a cwd is absolute',
      changed(whole, '/runtime/init/commands/0/cwd', '/x'),
      '/runtime/init/commands/0/cwd path',
    ],
    [
      'C-25 a variable is the loader’s',
      changed(whole, '/runtime/init/commands/0/env', { LD_PRELOAD: 'x' }),
      '/runtime/init/commands/0/env/LD_PRELOAD forbidden_variable',
    ],
    [
      'a variable is the platform’s',
      changed(whole, '/runtime/services/0/env', { COMPUTALOT_X: 'x' }),
      '/runtime/services/0/env/COMPUTALOT_X reserved_variable',
    ],
    [
      'C-28 a service has no fine name',
      changed(whole, '/runtime/services/0/name', 'a b'),
      '/runtime/services/0/name pattern',
    ],
    [
      'C-28 a service is called as each container calls itself',
      changed(whole, '/runtime/services/0/name', 'LocalHost'),
      '/runtime/services/0/name reserved_name',
    ],
    [
      'C-38 its parts would have less memory than any runs with',
      changed(whole, '/requirements/memory_mb', 127),
      '/requirements/memory_mb minimum',
    ],
    [
      'C-38 its parts would have less of a core than any runs with',
      changed(whole, '/requirements/cpu', 0.19),
      '/requirements/cpu minimum',
    ],
    [
      'C-28 a service is called as the task',
      changed(whole, '/runtime/services/0/name', 'Task'),
      '/runtime/services/0/name reserved_name',
    ],
    [
      'C-28 two services have one name',
      changed(whole, '/runtime/services', [service({}), service({})]),
      '/runtime/services/1/name duplicate_name',
    ],
    [
      'C-37 two services have one variable',
      changed(whole, '/runtime/services', [service({ name: 'a-b' }), service({ name: 'A_b' })]),
      '/runtime/services/1/name colliding_name',
    ],
    [
      'C-29 a command of a service is a text',
      changed(whole, '/runtime/services/0/command', 'x'),
      '/runtime/services/0/command type',
    ],
    ['C-30 a scope is unknown', changed(whole, '/runtime/services/0/scope', 'host'), '/runtime/services/0/scope enum'],
    [
      'C-31 a restart is unknown',
      changed(whole, '/runtime/services/0/restart', 'yes'),
      '/runtime/services/0/restart enum',
    ],
    [
      'C-32 a cwd of a service climbs',
      changed(whole, '/runtime/services/0/cwd', 'a/../..'),
      '/runtime/services/0/cwd path',
    ],
    [
      'C-39 cards are asked for with the profile cpu',
      changed(whole, '/requirements', { profile: 'cpu', gpu_count: 1 }),
      '/requirements/gpu_count contradiction',
    ],
    [
      'C-47 two caches have one name',
      changed(smallest, '/cache_mounts', [cache({}), cache({ path: '/cache/two' })]),
      '/cache_mounts/1/name duplicate_name',
    ],
    [
      'C-56 two caches have one variable',
      changed(smallest, '/cache_mounts', [cache({}), cache({ name: 'ONE', path: '/cache/two' })]),
      '/cache_mounts/1/name colliding_name',
    ],
    [
      'C-48 a scope of a cache is unknown',
      changed(smallest, '/cache_mounts', [cache({ scope: 'worker' })]),
      '/cache_mounts/0/scope const',
    ],
    [
      'C-49 a path of a cache is relative',
      changed(smallest, '/cache_mounts', [cache({ path: 'cache' })]),
      '/cache_mounts/0/path not_absolute',
    ],
    [
      'C-51 a class is unknown',
      changed(smallest, '/cache_mounts', [cache({ class: 'npm' })]),
      '/cache_mounts/0/class enum',
    ],
    [
      'C-52 a seed is no truth value',
      changed(smallest, '/cache_mounts', [cache({ seed_from_image: 'yes' })]),
      '/cache_mounts/0/seed_from_image type',
    ],
    [
      'a cache lies over the system',
      changed(smallest, '/cache_mounts', [cache({ path: '/etc/x' })]),
      '/cache_mounts/0/path system_path',
    ],
    [
      'a cache is the whole root',
      changed(smallest, '/cache_mounts', [cache({ path: '/' })]),
      '/cache_mounts/0/path system_path',
    ],
    [
      'a cache lies over the platform',
      changed(smallest, '/cache_mounts', [cache({ path: '/computalot' })]),
      '/cache_mounts/0/path system_path',
    ],
    [
      'a cache lies in another',
      changed(smallest, '/cache_mounts', [cache({}), cache({ name: 'two', path: '/cache/one/two' })]),
      '/cache_mounts/1/path overlap',
    ],
    [
      'data lies in a cache',
      { ...smallest, cache_mounts: [cache({})], data_sources: [data({ path: '/cache/one/m/' })] },
      '/data_sources/0/path overlap',
    ],
    [
      'C-60 two data sources have one name',
      changed(smallest, '/data_sources', [data({}), data({ path: '/models/v' })]),
      '/data_sources/1/name duplicate_name',
    ],
    [
      'C-61 a source is unknown',
      changed(smallest, '/data_sources', [data({ source: 's3' })]),
      '/data_sources/0/source const',
    ],
    [
      'C-62 a scheme is wrong',
      changed(smallest, '/data_sources', [data({ uri: 'https://org/m' })]),
      '/data_sources/0/uri pattern',
    ],
    [
      'C-63 a delivery is unknown',
      changed(smallest, '/data_sources', [data({ delivery: 'copy' })]),
      '/data_sources/0/delivery const',
    ],
    [
      'C-64 a path of data is relative',
      changed(smallest, '/data_sources', [data({ path: 'm' })]),
      '/data_sources/0/path not_absolute',
    ],
    [
      'C-65, C-86 a cache is unknown',
      changed(smallest, '/data_sources', [data({ cache: 'two' })]),
      '/data_sources/0/cache unknown_cache',
    ],
    ['C-77 an artifact climbs', changed(whole, '/artifacts/upload/0/path', '../x'), '/artifacts/upload/0/path path'],
    [
      'two artifacts have one name',
      changed(whole, '/artifacts/outputs/0/name', 'report'),
      '/artifacts/outputs/0/name duplicate_name',
    ],
    ['C-76 a type is unknown', changed(whole, '/artifacts/outputs/0/type', 'x'), '/artifacts/outputs/0/type const'],
  ])('%s', (_what, document, place) => {
    expect(placesOf(document)).toEqual([place]);
  });

  it('three things are wrong: all three are told, also behind a fault of the schema (C-88)', () => {
    const document = changed(
      changed(changed(whole, '/version', 0), '/data_sources/0/cache', 'no'),
      '/build/context',
      '/app',
    );

    expect(placesOf(document).sort()).toEqual([
      '/build/context path',
      '/data_sources/0/cache unknown_cache',
      '/version minimum',
    ]);
  });

  it('and nothing is told of caches that may be what is wrong', () => {
    expect(placesOf(changed(whole, '/cache_mounts/0/name', 7))).toEqual(['/cache_mounts/0/name type']);
  });
});

it.each([
  ['a file that is looked for in a cache', '/validation/files', ['/cache/pip/x'], '/validation/files/0 in_volume'],
  [
    'a program that is looked for in data',
    '/validation/executables',
    ['python', '/workspace/models/model-name/x'],
    '/validation/executables/1 in_volume',
  ],
  ['a file that is looked for in data', '/validation/files', ['models/model-name/x'], '/validation/files/0 in_volume'],
])('refuses %s, as every host would', (_what, at, value, place) => {
  const { data_sources: [source] = [], ...rest } = whole;
  const document = { ...rest, data_sources: [{ ...source, cache: undefined }] };

  expect(placesOf(changed(JSON.parse(JSON.stringify(document)), at, value))).toContain(place);
});

it('refuses more places than a container can have, as every host would', () => {
  const sixteen = Array.from({ length: 16 }, (_, index) => index);

  expect(
    placesOf({
      ...smallest,
      cache_mounts: sixteen.map((index) => cache({ name: `c${index}`, path: `/c/${index}` })),
      data_sources: sixteen.map((index) => data({ name: `d${index}`, path: `/d/${index}` })),
    }),
  ).toEqual(['/data_sources maxItems']);
});

it('tells what hosts would refuse beside what is wrong otherwise (C-87, C-88)', () => {
  const sixteen = Array.from({ length: 16 }, (_, index) => index);

  expect(
    placesOf({
      ...{ ...smallest, version: 0 },
      validation: { executables: ['python', './c/0/run'], files: ['job.py', '/c/1/../1/x', '/c', 7] },
      cache_mounts: sixteen.map((index) => cache({ name: `c${index}`, path: `/workspace/c/${index}` })),
      data_sources: sixteen.map((index) => data({ name: `d${index}`, path: `/d/${index}` })),
    }).sort(),
  ).toEqual([
    '/data_sources maxItems',
    '/validation/executables/1 in_volume',
    '/validation/files/1 path',
    '/validation/files/3 type',
    '/version minimum',
  ]);
});

it('warns of data that hides the workdir, and of what is kept twice', () => {
  const read = readManifest({
    ...changed(changed(whole, '/data_sources/0/path', '/workspace'), '/validation', undefined),
    requirements: {},
    artifacts: {
      upload: [],
      outputs: [
        { name: 'a', path: 'x' },
        { name: 'b', path: 'x' },
      ],
    },
  });

  expect(read.ok && read.warnings.map(({ path, code }) => `${path} ${code}`)).toEqual([
    ...['/data_sources/0/path hides_workdir', '/artifacts/outputs/1/path repeated'],
  ]);
});

it('takes as little as its parts run with, whatever their number (C-38)', () => {
  for (const count of [0, 1, 2, 6, 11, 12]) {
    const services = Array.from({ length: count }, (_, index) => service({ name: `s-${index}` }));
    const requirements = { cpu: (count + 1) / 10, memory_mb: 64 * (count + 1) };
    expect(placesOf({ ...smallest, runtime: { ...smallest.runtime, services }, requirements }), `${count}`).toEqual([]);
  }
});

it('warns of memory that the task shares with its services, how much each gets of it, and of cards, which services never get', () => {
  const withServices = (count: number, requirements: object) =>
    readManifest({
      ...{ ...smallest, requirements, artifacts: { upload: [{ name: 'a', path: 'x' }] } },
      runtime: {
        ...smallest.runtime,
        services: Array.from({ length: count }, (_, at) => service({ name: `s-${at}` })),
      },
    });
  const warningsOf = (read: ReturnType<typeof readManifest>) =>
    read.ok && read.warnings.map(({ path, message }) => `${path} ${message}`);

  expect(warningsOf(withServices(1, { memory_mb: 16_384, cpu: 8 }))).toEqual([
    '/requirements/memory_mb is for the task and its service together, in equal parts: 8192 for each',
  ]);
  expect(warningsOf(withServices(2, { memory_mb: 16_384, profile: 'gpu' }))).toEqual([
    '/requirements/memory_mb is for the task and its 2 services together, in equal parts: 5440 for each',
    '/requirements asks for cards, which its task has: services have none',
  ]);
  expect(warningsOf(withServices(0, { memory_mb: 16_384, profile: 'gpu' }))).toEqual([]);
  expect(warningsOf(withServices(1, { cpu: 8 }))).toEqual([]);
});

it('warns of a cache that hides the workdir, and where nothing is kept', () => {
  const read = readManifest({
    ...smallest,
    cache_mounts: [cache({ path: '/workspace' })],
  });

  expect(read.ok && read.warnings.map(({ path, code }) => `${path} ${code}`)).toEqual([
    ...['/cache_mounts/0/path hides_workdir', ' no_artifacts'],
  ]);
});

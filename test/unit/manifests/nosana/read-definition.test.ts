/** What is refused in a job definition, and where it is said. */
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readDefinition, readDefinitionText } from '../../../../src/manifests/nosana/read-definition.ts';

const folder = join(resolve(import.meta.dirname, '../../../..'), 'fixtures/manifests/nosana');
const run = (args: object = {}, more: object = {}) => ({
  ...{ type: 'container/run', id: 'a', args: { image: 'debian:12', ...args } },
  ...more,
});
const volume = (name: string, dest: string) => ({ name, dest });
const job = (ops: readonly unknown[], more: object = {}) => ({ version: '0.1', type: 'container', ...more, ops });
const errorsOf = (definition: unknown) => {
  const read = readDefinition(definition);
  return read.ok ? [] : read.errors.map(({ path, code }) => `${path} ${code}`);
};
const group = (id: string, more: object = {}) => run({}, { id, execution: { group: 'g', ...more } });

describe('a job definition is refused, with a path, where', () => {
  it.each<[string, unknown, string]>([
    ['N-1 its version is a number', { ...job([run()]), version: 0.1 }, '/version type'],
    ['N-1 its version is another one', { ...job([run()]), version: '0.2' }, '/version const'],
    ['N-2 its type is another one', { ...job([run()]), type: 'vm' }, '/type const'],
    ['N-5 it has no ops', job([]), '/ops minItems'],
    ['N-6 it has no version', { type: 'container', ops: [run()] }, '/version required'],
    ['N-6 an op has no args', job([{ type: 'container/run', id: 'a' }]), '/ops/0/args required'],
    ['N-6 an op has no id', job([{ type: 'container/run', args: { image: 'debian' } }]), '/ops/0/id required'],
    [
      'N-9 both spellings say something else',
      job([run()], { meta: { system_resources: { required_vram: 18 }, system_requirements: { required_vram: '24' } } }),
      '/meta/system_requirements/required_vram contradiction',
    ],
    ['N-18 two ops have one id', job([run(), run()]), '/ops/1/id duplicate_id'],
    ['N-19 an op is of another type', job([run({}, { type: 'container/stop' })]), '/ops/0/type enum'],
    [
      'N-20 a volume has arguments of a container',
      job([{ type: 'container/create-volume', id: 'v', args: { name: 'v', cmd: 'x' } }]),
      '/ops/0/args/cmd unknown_key',
    ],
    ['N-23 there is no image', job([{ ...run(), args: {} }]), '/ops/0/args/image required'],
    [
      'N-27 a resource is of another type',
      job([run({ resources: [{ type: 'FTP' }] })]),
      '/ops/0/args/resources/0/type enum',
    ],
    [
      'N-37 a target is no absolute path',
      job([run({ resources: [{ type: 'S3', url: 'https://s.example.com/b', target: 'data' }] })]),
      '/ops/0/args/resources/0/target not_absolute',
    ],
    [
      'N-42 a repo is no owner and name',
      job([run({ resources: [{ type: 'HF', repo: 'a/b/c', target: '/m' }] })]),
      '/ops/0/args/resources/0/repo malformed_name',
    ],
    [
      'N-48 an account is for another registry',
      job([
        run({
          image: 'ghcr.io/a/b',
          authentication: { docker: { username: 'u', password: 'p', server: 'docker.io' } },
        }),
      ]),
      '/ops/0/args/authentication/docker/server other_registry',
    ],
    [
      'an op waits for one of another group',
      job([run(), group('b', { depends_on: ['a'] })]),
      '/ops/1/execution/depends_on/0 other_group',
    ],
    ['an op waits for nobody', job([group('b', { depends_on: ['x'] })]), '/ops/0/execution/depends_on/0 unknown_op'],
    [
      'ops wait in a circle',
      job([group('a', { depends_on: ['b'] }), group('b', { depends_on: ['c'] }), group('c', { depends_on: ['a'] })]),
      '/ops/0/execution/depends_on cycle',
    ],
    [
      'a result is asked for before it can be there',
      job([run({ cmd: ['%%ops.b.results.x%%'] }), run({}, { id: 'b', results: { x: 'x' } })]),
      '/ops/0/args/cmd/0 literal',
    ],
    ['a port that is not exposed is named', job([run({ cmd: '%%ops.a.endpoint.80%%' })]), '/ops/0/args/cmd literal'],
    ['a variable is not there', job([run({ env: { A: '%%global.variables.x%%' } })]), '/ops/0/args/env/A literal'],
    [
      'an image would be known too late',
      job([run({}, { results: { x: 'x' } }), run({ image: '%%ops.a.results.x%%' }, { id: 'b' })]),
      '/ops/1/args/image literal',
    ],
    [
      'two volumes have one place',
      job([run({ volumes: [volume('a', '/d'), volume('b', '/d/')] })]),
      '/ops/0/args/volumes/1/dest overlap',
    ],
    [
      'data would lie in a volume',
      job([run({ volumes: [volume('a', '/d')], resources: [{ type: 'HF', repo: 'a/b', target: '/d/m' }] })]),
      '/ops/0/args/resources/0/target overlap',
    ],
    [
      'a model lies where its kind has it, and a volume as well',
      job([run({ volumes: [volume('a', '/root')], resources: [{ type: 'Ollama', model: 'm' }] })]),
      '/ops/0/args/resources/0 overlap',
    ],
    [
      'what is kept lies around a volume',
      job([run({ volumes: [volume('a', '/d/v')], output: '/d' })]),
      '/ops/0/args/output overlap',
    ],
    [
      'what is kept is what was fetched',
      job([run({ resources: [{ type: 'HF', repo: 'a/b', target: '/m' }], output: '/m' })]),
      '/ops/0/args/output overlap',
    ],
    [
      'a volume hides what the system needs',
      job([run({ volumes: [volume('a', '/etc')] })]),
      '/ops/0/args/volumes/0/dest system_path',
    ],
    ['what is kept has no absolute path', job([run({ output: 'out' })]), '/ops/0/args/output not_absolute'],
    [
      'an op has more names than a container',
      job([run({ aliases: Array.from({ length: 16 }, (_, at) => `name-${at}`) }, { id: 'A.b' })]),
      '/ops/0 maxItems',
    ],
    ['ports are exposed twice', job([run({ expose: ['80-90', 85] })]), '/ops/0/args/expose/1 duplicate_port'],
    ['a range runs backwards', job([run({ expose: '90-80' })]), '/ops/0/args/expose port_range'],
    [
      'an expression becomes a large program',
      job([run({}, { results: { x: 'y{1000}'.repeat(40) } })]),
      '/ops/0/results/x regex',
    ],
    [
      'expressions become large programs together',
      job([
        run({}, { results: Object.fromEntries(['a', 'b', 'c', 'd', 'e'].map((name) => [name, '.{1000}'.repeat(4)])) }),
      ]),
      '/ops regex',
    ],
    ['an expression has no linear time', job([run({}, { results: { x: '(a)\\1' } })]), '/ops/0/results/x regex'],
    ['somebody wants to log in', job([run()], { ssh: { public_keys: ['ssh-ed25519 x'] } }), '/ssh unsupported'],
    ['a key is unknown', job([run({ privileged: true })]), '/ops/0/args/privileged unknown_key'],
  ])('%s', (_what, definition, expected) => {
    expect(errorsOf(definition)).toContain(expected);
  });
});

it('says all that is wrong at once (X-23)', () => {
  const wrong = job([run({ expose: 0, cmd: 7 }), { type: 'container/run', id: 'b', args: { image: 'x', zzz: 1 } }], {
    extra: 1,
  });

  expect(errorsOf(wrong).sort()).toEqual([
    '/extra unknown_key',
    '/ops/0/args/cmd type',
    '/ops/0/args/expose minimum',
    '/ops/1/args/zzz unknown_key',
  ]);
});

it.each([
  ['command-shell-words', '/ops/0/args/cmd shell_words', 'N-33'],
  ['pytorch-jupyter', '/ops/0/args/cmd no_auth_endpoint', 'N-50'],
  ['logistics', '/logistics ignored', ''],
  ['volume-undeclared', '/ops/0/args/volumes/0/name undeclared_volume', ''],
  ['restart', '/ops/1/args/restart_policy never_ends', ''],
])('%s is accepted with a warning %s', (name, expected) => {
  const read = readDefinitionText(readFileSync(join(folder, `${name}.in.json`), 'utf8'));

  expect(read.ok && read.warnings.map(({ path, code }) => `${path} ${code}`)).toContain(expected);
});

it('is read as YAML as well', () => {
  const text =
    'version: "0.1"\ntype: container\nops:\n  - {type: container/run, id: a, args: {image: debian, cmd: "true"}}\n';

  expect(readDefinitionText(text)).toMatchObject({ ok: true });
});

it('N-3, N-4, N-7, N-11: takes any origin, and amounts as text or number', () => {
  for (const trigger of ['cli', 'dashboard', 'api', 'deployment-manager', 'somewhere else']) {
    for (const required_vram of [18, '18', '7.5']) {
      expect(errorsOf(job([run()], { meta: { trigger, system_resources: { required_vram } } }))).toEqual([]);
    }
  }
  expect(errorsOf(job([run()], { meta: { system_resources: { required_vram: 'much' } } }))).toEqual([
    '/meta/system_resources/required_vram not_a_number',
  ]);
});

/**
 * Faults of shape hide none of meaning: what is told of a definition beside its faults of shape is all that can be sure,
 * and nothing that is gone when those are mended.
 */
import { globSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { judge } from '../../../../src/contract/validate.ts';
import { JobDefinition } from '../../../../src/manifests/nosana/definition.ts';
import { readDefinition } from '../../../../src/manifests/nosana/read-definition.ts';
import { damaged, damages } from '../../../support/damage.ts';

const folder = join(resolve(import.meta.dirname, '../../../..'), 'fixtures/manifests/nosana');
const definitions: Document[] = globSync('*.in.json', { cwd: folder }).map((file) =>
  JSON.parse(readFileSync(join(folder, file), 'utf8')),
);

interface Document {
  readonly ops: object[];
  readonly [key: string]: unknown;
}
/** Ops that are put behind those of a definition, and what has to be told of them, from the first of them on. */
type Ill = (id: string, first: number) => { readonly ops: readonly object[]; readonly told: readonly string[] };

const run = (id: string, args: object = {}, more: object = {}) => ({
  ...{ type: 'container/run', id, args: { image: 'debian:12', ...args } },
  ...more,
});
const withArgs =
  (args: object, told: string): Ill =>
  (id, first) => ({ ops: [run(id, args)], told: [`/ops/${first}/args/${told}`] });
const withMore =
  (more: object, told: string): Ill =>
  (id, first) => ({ ops: [run(id, {}, more)], told: [`/ops/${first}/${told}`] });

const meanings: readonly Ill[] = [
  withArgs({ image: 'No Image' }, 'image malformed_image'),
  withArgs({ env: { A: 'a', LD_PRELOAD: 'x' } }, 'env/LD_PRELOAD forbidden_variable'),
  withArgs({ work_dir: 'here' }, 'work_dir not_absolute'),
  withArgs({ volumes: [{ name: 'v', dest: 'there' }] }, 'volumes/0/dest not_absolute'),
  withArgs({ volumes: [{ name: 'v', dest: '/a' }], output: '/a/b' }, 'output overlap'),
  withArgs({ output: '/proc' }, 'output system_path'),
  withArgs({ expose: [8000, '90-80'] }, 'expose/1 port_range'),
  withArgs({ expose: ['80-90', 85] }, 'expose/1 duplicate_port'),
  withArgs({ expose: '1000-2000' }, 'expose too_many_ports'),
  withArgs({ aliases: 'a, b_c' }, 'aliases malformed_name'),
  withArgs({ authentication: { docker: { username: 'u' } } }, 'authentication/docker/password required'),
  withArgs({ authentication: { docker: { server: 'ghcr.io' } } }, 'authentication/docker/server other_registry'),
  withArgs({ resources: [{ type: 'S3', target: '/d' }] }, 'resources/0/url required'),
  withArgs({ resources: [{ type: 'HF', repo: 'a', target: '/d' }] }, 'resources/0/repo malformed_name'),
  withArgs({ cmd: ['%%global.variables.none%%'] }, 'cmd/0 literal'),
  withArgs({ cmd: 'echo %%ops.nobody.host%%' }, 'cmd literal'),
  withArgs({ volumes: [{ name: 'v', dest: '%%global.job%%' }] }, 'volumes/0/dest literal'),
  withMore({ results: { x: '(a)\\1' } }, 'results/x regex'),
  withMore({ execution: { group: 'alone', depends_on: ['nobody'] } }, 'execution/depends_on/0 unknown_op'),
  withMore({ execution: { stop_if_dependent_stops: true } }, 'execution/stop_if_dependent_stops required'),
  (id, first) => ({ ops: [run(id), run(id)], told: [`/ops/${first + 1}/id duplicate_id`] }),
  (id, first) => ({ ops: [run(`${id} %`)], told: [`/ops/${first}/id malformed_id`] }),
  (id, first) => {
    const waits = (other: string) => ({ execution: { group: id, depends_on: [other] } });
    return {
      ops: [run(`${id}-1`, {}, waits(`${id}-2`)), run(`${id}-2`, {}, waits(`${id}-1`))],
      told: [`/ops/${first}/execution/depends_on cycle`],
    };
  },
  (id, first) => ({
    ops: [run(`${id}-1`), run(`${id}-2`, {}, { execution: { group: id, depends_on: [`${id}-1`] } })],
    told: [`/ops/${first + 1}/execution/depends_on/0 other_group`],
  }),
  (id, first) => ({
    ops: [run(`${id}-1`, { cmd: `%%ops.${id}-2.results.x%%` }), run(`${id}-2`, {}, { results: { x: 'x' } })],
    told: [`/ops/${first}/args/cmd literal`],
  }),
  (id, first) => ({
    ops: [run(`${id}-1`), run(`${id}-2`, { env: { A: `%%ops.${id}-1.endpoint.80%%` } })],
    told: [`/ops/${first + 1}/args/env/A literal`],
  }),
];

const shapes: readonly Ill[] = [
  withArgs({ cmd: 7 }, 'cmd type'),
  withArgs({ gpu: 'yes' }, 'gpu type'),
  withArgs({ env: { A: 1 } }, 'env/A type'),
  withArgs({ expose: [true] }, 'expose/0 type'),
  withArgs({ unheard_of: 1 }, 'unheard_of unknown_key'),
  withArgs({ resources: [{ type: 'FTP' }] }, 'resources/0/type enum'),
  withArgs({ volumes: [{ name: 'v' }] }, 'volumes/0/dest required'),
  withMore({ type: 'container/stop' }, 'type enum'),
  withMore({ args: [] }, 'args type'),
  withMore({ results: { x: 7 } }, 'results/x type'),
  withMore({ execution: { timeout: 'long' } }, 'execution/timeout type'),
  withMore({ execution: { depends_on: 'a' } }, 'execution/depends_on type'),
  // What is missing beside it may be what it was meant to be: nobody could tell the order of ops else.
  withMore({ also_unheard_of: 1, execution: { group: 'own' } }, 'also_unheard_of unknown_key'),
];

const told = (definition: unknown) => {
  const read = readDefinition(definition);
  return read.ok ? [] : read.errors.map(({ path, code }) => `${path} ${code}`);
};

function withIlls(definition: Document, ills: readonly Ill[]) {
  const ops = [...definition.ops];
  const expected = ills.flatMap((ill, index) => {
    const made = ill(`ill-${index}`, ops.length);
    ops.push(...made.ops);
    return made.told;
  });
  return { definition: { ...definition, ops }, expected };
}

it.each([...meanings, ...shapes].map((ill) => [withIlls(definitions[0] as Document, [ill])]))(
  'each fault alone is told by its place alone',
  ({ definition, expected }) => {
    expect(told(definition)).toEqual(expected);
  },
);

it('faults of shape and of meaning, however many and in whatever order, are all told', () => {
  const some = (ills: readonly Ill[]) => fc.array(fc.constantFrom(...ills), { minLength: 1, maxLength: 5 });
  const both = fc.tuple(some(meanings), some(shapes)).map((ills) => ills.flat());
  const shuffled = both.chain((ills) => fc.shuffledSubarray(ills, { minLength: ills.length }));
  fc.assert(
    fc.property(fc.constantFrom(...definitions), shuffled, (valid, ills) => {
      const { definition, expected } = withIlls(valid, ills);

      expect(told(definition).sort()).toEqual(expected.sort());
    }),
    { numRuns: 200 },
  );
});

it('what is told of the meaning of a definition is told as well when its shape has been mended', () => {
  const ills = fc.array(fc.constantFrom(...meanings), { maxLength: 4 });
  fc.assert(
    fc.property(fc.constantFrom(...definitions), ills, damages, (valid, some, wrong) => {
      const { definition: mended } = withIlls(valid, some);
      const definition = damaged(JobDefinition, mended, wrong);
      const judged = judge(JobDefinition, definition);
      const ofShape = judged.ok ? [] : judged.errors.map(({ path, code }) => `${path} ${code}`);
      const ofMeaning = told(definition).filter((error) => !ofShape.includes(error));

      const after = told(mended);
      expect(
        ofMeaning.filter((error) => !after.includes(error)),
        JSON.stringify(definition),
      ).toEqual([]);
    }),
    { numRuns: 200 },
  );
});

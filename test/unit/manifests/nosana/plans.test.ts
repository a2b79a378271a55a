/** What is valid here becomes a plan that a host takes: nothing is accepted that is refused there for its shape. */
import { globSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { JobPlan } from '../../../../src/contract/job-plan.ts';
import { judge } from '../../../../src/contract/validate.ts';
import { checkPlan } from '../../../../src/jobs/check-plan.ts';
import { readDefinition } from '../../../../src/manifests/nosana/read-definition.ts';
import { planOf } from '../../../../src/manifests/nosana/to-plan.ts';
import type { PlanWish } from '../../../../src/manifests/planned-job.ts';
import { jobIdentity } from '../../../support/job-plans.ts';
import { hostPolicy, imageReference } from '../../../support/task-bench.ts';

const folder = join(resolve(import.meta.dirname, '../../../..'), 'fixtures/manifests/nosana');
const definitions: Definition[] = globSync('*.in.json', { cwd: folder }).map((file) =>
  JSON.parse(readFileSync(join(folder, file), 'utf8')),
);

interface Definition {
  readonly ops: { args: Record<string, unknown>; [key: string]: unknown }[];
  readonly [key: string]: unknown;
}

const place = fc.constantFrom(
  ...[
    '/data',
    '/data/',
    '/data/in',
    '/data/in/',
    '/out',
    '/o u t',
    '//out',
    '/out/../x',
    '/',
    'out',
    '/etc/x',
    '/proc',
  ],
  ...['/root', '/root/.ollama/models', '/usr/lib', '/usr/share/x', '/run/x', `/${'long/'.repeat(90)}`],
);
const name = fc.constantFrom('data', 'Data set', 'output-train', 'a.b', 'x'.repeat(60));
const resource = fc.oneof(
  fc.record({ type: fc.constant('HF'), repo: fc.constantFrom('a/b', 'a/-', '-/.'), target: place }),
  fc.record({ type: fc.constant('Ollama'), model: fc.constantFrom('m', 'm:t', 'a b') }),
  fc.record({
    ...{ type: fc.constant('S3'), target: place, allowWrite: fc.boolean() },
    buckets: fc.array(fc.constant({ url: 'https://s.example.com/b' }), { minLength: 1, maxLength: 32 }),
  }),
);
const check = { type: 'http', path: '/ü', method: 'GET', expected_status: 200, continuous: true };
/** What an op may have beside, or in place of, what it has. */
const more = fc.record(
  {
    volumes: fc.array(fc.record({ name, dest: place }), { maxLength: 32 }),
    resources: fc.array(resource, { maxLength: 8 }),
    output: place,
    work_dir: fc.oneof(place, fc.constantFrom('', '/proc/self', '%%global.job%%')),
    entrypoint: fc.constantFrom('', [''], [], 'sh', ['__remove-if-empty__']),
    expose: fc.constantFrom<unknown>('8000-8063', [8000, '8001-8040'], [{ port: 80, health_checks: [check] }]),
    aliases: fc.array(fc.constantFrom('web', 'Web', 'a.b', 'x'.repeat(63)), { maxLength: 16 }),
    env: fc.dictionary(fc.constantFrom('A', 'a-b', 'LD_PRELOAD', '__proto'), fc.string(), { maxKeys: 3 }),
    restart_policy: fc.constantFrom('always', 'no'),
    image: fc.constantFrom('debian', 'localhost:5000/a/b:c', `x@sha256:${'a'.repeat(64)}`, `${'a'.repeat(300)}/b`),
  },
  { requiredKeys: [] },
);
/** A definition of the fixtures with changes anywhere, and its ops again and again. */
const varied = fc
  .record({
    definition: fc.constantFrom(...definitions),
    changes: fc.array(fc.tuple(fc.nat(20), more), { maxLength: 3 }),
    copies: fc.oneof({ weight: 4, arbitrary: fc.constant(0) }, fc.nat(70)),
    id: fc.constantFrom('copy', 'Copy of it', 'copy_'.repeat(10)),
  })
  .map(({ definition: { ops, ...rest }, changes, copies, id }) => {
    const all = structuredClone(ops);
    for (const [at, over] of changes) {
      const op = all[at % all.length];
      if (op?.['type'] === 'container/run') Object.assign(op.args, over);
    }
    const again = all.find(({ type }) => type === 'container/run');
    const copied = Array.from({ length: copies }, (_, index) => ({ ...again, id: `${id}-${index}`, execution: {} }));
    return { ...rest, ops: [...all, ...copied] };
  });

const wish: fc.Arbitrary<Omit<PlanWish, 'identity' | 'pins'>> = fc.record({
  resources: fc.record({
    ...{ gpu_count: fc.constantFrom(0, 1, 2), cpu_cores: fc.constantFrom(0.1, 0.5, 3) },
    memory_gib: fc.constantFrom(0.0625, 0.5, 7),
  }),
  ...{ sandbox: fc.constant('runc' as const), on_failure: fc.constantFrom('stop' as const, 'continue' as const) },
  ...{ deadline_seconds: fc.constant(60), keep: fc.boolean() },
});

it('every definition that is valid gives a plan that a host takes, whatever it gets', () => {
  let valid = 0;
  fc.assert(
    fc.property(varied, wish, (document, given) => {
      const read = readDefinition(document);
      if (!read.ok) return;
      valid += 1;
      const { plan } = planOf(read.definition, { ...given, identity: jobIdentity, pins: {} });
      const images = plan.images.map((image) => ({ ...image, source: { ...image.source, reference: imageReference } }));
      const judged = judge(JobPlan, { ...plan, images });

      expect(judged).toMatchObject({ ok: true });
      expect(() => judged.ok && checkPlan(judged.value, hostPolicy)).not.toThrow();
    }),
    { numRuns: 300 },
  );
  // Else nothing was looked at.
  expect(valid).toBeGreaterThan(25);
});

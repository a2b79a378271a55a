import { globSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { Ajv } from 'ajv';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { JobPlan } from '../../../src/contract/job-plan.ts';
import { shareRepeated } from '../../../src/contract/share-repeated.ts';
import { judging } from '../../../src/contract/validate.ts';

const root = resolve(import.meta.dirname, '../../..');
/** Checks have most parts of steps, and the others no further ones: without sharing, a whole plan takes long to compile. */
const { services: _services, init: _init, inputs: _inputs, ...properties } = JobPlan.properties;
const schema: object = {
  ...JobPlan,
  properties,
  required: JobPlan.required.filter((name) => Object.hasOwn(properties, name)),
};
const plans = globSync('fixtures/manifests/nosana/*.out.json', { cwd: root }).map((file) => {
  const { plan } = JSON.parse(readFileSync(resolve(root, file), 'utf8')) as { plan: object };
  return Object.fromEntries(Object.entries(plan).filter(([name]) => Object.hasOwn(properties, name)));
});

describe('a schema whose repeated parts are shared', () => {
  it('says of every plan, also of damaged ones, what the schema itself says', () => {
    const plain = new Ajv(judging).compile(schema);
    const shared = new Ajv(judging).compile(shareRepeated(schema));
    const faults = (validate: typeof plain, value: unknown) => {
      validate(value);
      return (validate.errors ?? [])
        .map(({ instancePath, keyword, params }) => JSON.stringify([instancePath, keyword, params]))
        .sort();
    };
    const other = fc.oneof(
      fc.constant(undefined),
      fc.constantFrom(null, '', 'x', 0, -1, true),
      fc.constant([]),
      fc.constant({ ref: 'job' }),
    );
    let damaged = 0;
    fc.assert(
      fc.property(
        fc.constantFrom(...plans),
        fc.array(fc.nat(), { minLength: 1, maxLength: 9 }),
        other,
        (plan, way, value) => {
          const copy = structuredClone(plan);
          replaceAt(copy, way, value);
          const expected = faults(plain, copy);
          if (expected.length > 0) damaged += 1;
          expect(faults(shared, copy)).toEqual(expected);
        },
      ),
      { numRuns: 300 },
    );
    for (const plan of plans) expect(faults(shared, plan)).toEqual([]);
    expect(damaged).toBeGreaterThan(100);
  });

  it('has each of them once', () => {
    const part = { type: 'array', items: { type: 'string' } };
    const schema = {
      type: 'object',
      properties: { a: part, b: { type: 'object', properties: { c: part } }, d: { type: 'string' } },
    };
    expect(shareRepeated(schema)).toEqual({
      type: 'object',
      properties: {
        a: { $ref: '#/$defs/part1' },
        b: { type: 'object', properties: { c: { $ref: '#/$defs/part1' } } },
        d: { type: 'string' },
      },
      $defs: { part1: part },
    });
    expect(shareRepeated(part)).toBe(part);
  });
});

/** Goes down by these numbers, and puts the value where they end. */
function replaceAt(document: object, way: readonly number[], value: unknown): void {
  let at = document as Record<string, unknown>;
  for (const [index, step] of way.entries()) {
    const keys = Object.keys(at);
    const key = keys[step % keys.length];
    if (key === undefined) return;
    const next = at[key];
    if (index === way.length - 1 || typeof next !== 'object' || next === null) {
      if (value === undefined) delete at[key];
      else at[key] = value;
      return;
    }
    at = next as Record<string, unknown>;
  }
}

import { Ajv } from 'ajv';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { judgeParameter } from '../../../../src/manifests/gpuaas/judge-parameter.ts';
import type { ParameterProperty } from '../../../../src/manifests/gpuaas/parameter-schema.ts';

const properties: readonly ParameterProperty[] = [
  { type: 'string' },
  { type: 'string', enum: ['scratch', 'project_storage'] },
  { type: 'string', minLength: 2, maxLength: 5 },
  { type: 'integer' },
  { type: 'integer', minimum: 1024, maximum: 65_535 },
  { type: 'integer', enum: [1, 2, 4, 8] },
  { type: 'number', minimum: 0.5, maximum: 1 },
  { type: 'boolean' },
];

describe('judgeParameter', () => {
  it.each(properties)('says of any value what JSON Schema says (G-35): %j', (property) => {
    const oracle = new Ajv().compile(property);
    const value = fc.oneof(
      fc.integer({ min: -10, max: 70_000 }),
      fc.double({ noNaN: true, noDefaultInfinity: true, min: -2, max: 9 }),
      fc.string({ unit: 'grapheme', maxLength: 7 }),
      fc.constantFrom('scratch', 'nfs', '8888', 1023, 1024, 65_535, 65_536, 8888.5, 0.5, true, false, null, [], {}),
    );

    fc.assert(fc.property(value, (given) => (judgeParameter(property, given, '') === undefined) === oracle(given)));
  });

  it('names the keyword that is violated and the place of the value', () => {
    expect(judgeParameter({ type: 'integer', minimum: 0 }, -1, '/config/gpu_count')).toEqual({
      path: '/config/gpu_count',
      code: 'minimum',
      message: 'must be >= 0',
    });
  });

  it('takes no property of the prototype for a choice', () => {
    expect(judgeParameter({ type: 'string', enum: ['a'] }, 'constructor', '')).toMatchObject({ code: 'enum' });
  });
});

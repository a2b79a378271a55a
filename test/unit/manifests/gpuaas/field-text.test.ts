import { describe, expect, it } from 'vitest';
import { textOfValue, valueOfText } from '../../../../src/manifests/gpuaas/field-text.ts';
import { type FormField, formModel } from '../../../../src/manifests/gpuaas/form-model.ts';
import { jupyterProfile } from '../../../support/profiles.ts';

function field(property: object): FormField {
  const profile = jupyterProfile({
    '/parameters/schema/properties/asked': property,
    '/parameters/ui': { order: ['asked'] },
  });
  const found = formModel(profile)
    .steps.flatMap(({ components }) => components)
    .find((each) => each.kind === 'field' && each.field.name === 'asked');
  if (found?.kind !== 'field') throw new Error('no field');
  return found.field;
}

const integer = field({ type: 'integer' });
const select = field({ type: 'integer', enum: [1, 2] });
const words = field({ type: 'string', enum: ['', 'a'] });
const text = field({ type: 'string' });
const flag = field({ type: 'boolean' });

describe('valueOfText', () => {
  it.each<[string, unknown]>([
    ['8888', 8888],
    [' 8888 ', 8888],
    ['8888.5', 8888.5],
    ['-1', -1],
    ['1e3', 1000],
    ['.5', 0.5],
    ['1e999', '1e999'],
    ['0x10', '0x10'],
    ['12 34', '12 34'],
    ['NaN', 'NaN'],
    ['Infinity', 'Infinity'],
    ['٣', '٣'],
    ['1,5', '1,5'],
  ])('reads the number in %j as %j and leaves all else as it was typed', (typed, value) => {
    expect(valueOfText(integer, typed, true)).toBe(value);
  });

  it('lets an empty number be the default only where no number is required (G-49)', () => {
    expect(valueOfText(integer, ' ', false)).toBeUndefined();
    expect(valueOfText(integer, '', true)).toBe('');
  });

  it('gives a choice the type that it was declared with', () => {
    expect(valueOfText(select, '2', true)).toBe(2);
    expect(valueOfText(select, '', false)).toBeUndefined();
    expect(valueOfText(words, '', false)).toBe('');
    expect(valueOfText(select, '3', true)).toBe('3');
  });

  it('leaves text alone, its spaces included', () => {
    expect(valueOfText(text, ' a ', true)).toBe(' a ');
    expect(valueOfText(text, '', false)).toBe('');
    expect(valueOfText(text, '', true)).toBeUndefined();
  });

  it('reads switches', () => {
    expect(['true', 'false', 'maybe'].map((each) => valueOfText(flag, each, true))).toEqual([true, false, 'maybe']);
  });

  it('reads back what it showed', () => {
    for (const [asked, value] of [
      [integer, 12],
      [select, 2],
      [words, ''],
      [text, 'a b'],
      [flag, false],
    ] as const) {
      expect(valueOfText(asked, textOfValue(value), false)).toBe(value);
    }
  });
});

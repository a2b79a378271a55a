/** The table of docs/manifests.md, held against the schema and against what registration does (G-90). */
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { WorkloadProfile } from '../../../../src/manifests/gpuaas/profile.ts';
import { readProfile } from '../../../../src/manifests/gpuaas/read-profile.ts';
import { vllmDocument } from '../../../support/profiles.ts';

interface Shape {
  readonly properties?: Readonly<Record<string, Shape>>;
  readonly patternProperties?: Readonly<Record<string, Shape>>;
  readonly items?: Shape;
}

/** Paths of fields that have no fields of their own. */
function leaves({ properties, patternProperties, items }: Shape, path: string): string[] {
  const inside = [
    ...Object.entries(properties ?? {}).flatMap(([name, shape]) =>
      leaves(shape, path === '' ? name : `${path}.${name}`),
    ),
    ...Object.values(patternProperties ?? {}).flatMap((shape) => (shape.properties ? leaves(shape, `${path}.*`) : [])),
    ...(items?.properties ? leaves(items, `${path}[]`) : []),
  ];
  return inside.length > 0 ? inside : [path];
}

const page = readFileSync(join(resolve(import.meta.dirname, '../../../..'), 'docs/manifests.md'), 'utf8');
const [, table = ''] = page.split('| field | checked | becomes |');
const rows = [...table.matchAll(/^\| `([^`]+)` \| ([^|]+) \| [^|]+ \|$/gm)].map(([, field = '', checked = '']) => ({
  field,
  checked,
}));

/** Puts something at the field, in the first entry of each list or map on the way; answers its pointer. */
function replace(document: Record<string, unknown>, field: string, value: unknown): string {
  const steps = field.replaceAll('[]', '.0').split('.');
  const last = steps.pop() ?? '';
  let at = document;
  let pointer = '';
  for (const [index, step] of steps.entries()) {
    const key = step === '*' ? (Object.keys(at)[0] ?? 'first') : step;
    const next = steps[index + 1] ?? last;
    at[key] ??= next === '0' ? [] : {};
    at = at[key] as Record<string, unknown>;
    pointer += `/${key}`;
  }
  at[last] = value;
  return `${pointer}/${last}`;
}

describe('the table of docs/manifests.md', () => {
  it('lists exactly the fields that the schema has (G-90)', () => {
    expect(rows.map(({ field }) => field)).toEqual(leaves(WorkloadProfile as Shape, ''));
  });

  it.each(rows.map(({ field }) => field))(
    'is true of %s: registration looks at it, and refuses what it cannot be',
    (field) => {
      // No field is a list in a list.
      const document = vllmDocument();
      const pointer = replace(document, field, [[]]);

      const read = readProfile(document);

      const places = read.ok ? [] : read.errors.map(({ path }) => path);
      expect(places.filter((path) => path === pointer || path.startsWith(`${pointer}/`)).length).toBeGreaterThan(0);
    },
  );

  it('says of each field where it is checked: at registration, at a launch, in the form, or warned of', () => {
    const unsaid = rows.filter(({ checked }) => !/registration|launch|form|warned/.test(checked));

    expect(unsaid).toEqual([]);
  });
});

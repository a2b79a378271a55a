import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, it } from 'vitest';
import { WorkloadProfile } from '../../../../src/manifests/gpuaas/profile.ts';

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

it('is true: docs/manifests.md lists exactly the fields that the schema has (G-90)', () => {
  const page = readFileSync(join(resolve(import.meta.dirname, '../../../..'), 'docs/manifests.md'), 'utf8');
  const [, table = ''] = page.split('| field | checked | becomes |');
  const listed = [...table.matchAll(/^\| `([^`]+)` \|/gm)].map(([, field = '']) => field);

  expect(listed).toEqual(leaves(WorkloadProfile as Shape, ''));
});

/** What a manifest says stands in the manifest alone; single words such as `Model` are everybody's. */
import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, it } from 'vitest';
import { jupyterProfile, smokeProfile, vllmProfile } from '../../support/profiles.ts';

const folder = resolve(import.meta.dirname, '../../../src/console');
const sources = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => /\.tsx?$/.test(name));

it('the console has no description of a step, no title and no help of a field of its own (G-59)', () => {
  const said = [jupyterProfile(), vllmProfile(), smokeProfile()].flatMap(({ parameters }) => [
    ...(parameters.ui?.launch_wizard?.steps ?? []).map(({ description }) => description),
    ...Object.values(parameters.schema.properties).flatMap(({ title, description }) => [title, description]),
  ]);
  const texts = said.filter((text) => text?.includes(' ')) as string[];

  const found = sources.flatMap((name) => {
    const source = readFileSync(join(folder, name), 'utf8');
    return texts.filter((text) => source.includes(text)).map((text) => ({ name, text }));
  });

  expect(sources.length).toBeGreaterThan(50);
  expect(texts).toContain('Size the workload for the selected allocation.');
  expect(found).toEqual([]);
});

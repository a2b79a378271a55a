/** What a job definition costs until all that is wrong with it is known: those of the fixtures, one after another in one process. */
import { globSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { validateJobDefinition } from '@nosana/types';
import { readDefinition } from '../src/manifests/nosana/read-definition.ts';
import { type Measurement, median, timed } from './measurement.ts';

const folder = join(resolve(import.meta.dirname, '..'), 'fixtures/manifests/nosana');
const rounds = 40;
const targetMs = 2;

export async function judgingCost(): Promise<Measurement> {
  const definitions: unknown[] = globSync('*.in.json', { cwd: folder }).map((file) =>
    JSON.parse(readFileSync(join(folder, file), 'utf8')),
  );
  const [ours, theirs]: [number[], number[]] = [[], []];
  for (let round = 0; round < rounds; round += 1) {
    for (const definition of definitions) {
      theirs.push(await timed(async () => validateJobDefinition(definition)));
      ours.push(await timed(async () => readDefinition(definition)));
    }
  }
  return {
    ...{ name: 'a job definition judged', unit: 'ms', ours: median(ours), theirs: median(theirs) },
    ...{ against: "the published types' validator", target: `at most ${targetMs} ms`, met: median(ours) <= targetMs },
  };
}

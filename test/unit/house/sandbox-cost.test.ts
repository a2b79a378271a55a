/** What gVisor costs is written in docs/safety.md as it was measured last; `-u` writes it there from bench/results.json. */
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, it } from 'vitest';
import type { Measurement } from '../../../bench/measurement.ts';
import { sandboxPrefix, sandboxWorks } from '../../../bench/sandbox.ts';

interface Results {
  readonly taken_at: string;
  readonly machine: { readonly cpu: string; readonly cores: number };
  readonly measurements: readonly Measurement[];
}

const root = resolve(import.meta.dirname, '../../..');
const table = /(?<=\| work of a container [^\n]*\n\|[-|]+\|\n)[\s\S]*?(?=\n\n\*\*)/;

it('docs/safety.md tells what the sandbox costs, as bench/results.json has it', async () => {
  const page = join(root, 'docs/safety.md');
  const text = readFileSync(page, 'utf8');
  const results: Results = JSON.parse(readFileSync(join(root, 'bench/results.json'), 'utf8'));

  expect(text).toMatch(table);
  await expect(text.replace(table, () => costs(results))).toMatchFileSnapshot(page);
});

function costs({ taken_at, machine, measurements }: Results): string {
  const found = sandboxWorks.map((work) => measurements.find(({ name }) => name === `${sandboxPrefix}${work}`));
  const rows = sandboxWorks.map((work, index) => `| ${work} | ${figuresOf(found[index]).join(' | ')} |`);
  const version = /; gVisor is (.*)/.exec(found[0]?.against ?? '')?.[1];
  const where = `On ${machine.cpu} with ${machine.cores} cores, ${taken_at.slice(0, 10)}, ${version}.`;
  return [...rows, '', version === undefined ? 'Not measured yet.' : where].join('\n');
}

function figuresOf(row: Measurement | undefined): readonly string[] {
  if (row === undefined) return ['–', '–', '–'];
  const { ours, theirs } = row;
  return [`${theirs.toFixed(0)} ms`, `${ours.toFixed(0)} ms`, `${(ours / theirs).toFixed(1)} times as long`];
}

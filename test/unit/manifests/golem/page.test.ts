/** The manifest and the batch that docs/golem.md gives to copy. */
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, it } from 'vitest';
import { ExeScript } from '../../../../src/contract/exe-script.ts';
import { judge } from '../../../../src/contract/validate.ts';
import { readGolemJob } from '../../../../src/manifests/golem/read-job.ts';

const page = readFileSync(join(resolve(import.meta.dirname, '../../../..'), 'docs/golem.md'), 'utf8');
const [manifest, batch] = [...page.matchAll(/```json\n([\s\S]*?)```/g)].map(([, text = '']) => JSON.parse(text));

it('is valid without a warning, and allows its batch and nothing else', () => {
  const read = readGolemJob(manifest);
  const script = judge(ExeScript, batch);
  if (!read.ok || !script.ok) throw new Error(JSON.stringify([read, script]));

  expect(read.warnings).toEqual([]);
  expect(read.checkScript?.(script.value)).toEqual([]);
  expect(read.checkScript?.([{ run: { entry_point: '/bin/rm', args: ['-R'] } }])).toHaveLength(1);
});

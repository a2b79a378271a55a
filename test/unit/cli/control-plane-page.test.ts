import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { expect, it } from 'vitest';
import { instanceStates } from '../../../src/contract/instance-state.ts';
import { runGpuaas } from '../../support/run-gpuaas.ts';

const root = resolve(import.meta.dirname, '../../..');
const page = readFileSync(resolve(root, 'docs/control-plane.md'), 'utf8');

it('lists the options of `gpuaas serve` with their variables, all of them and no others', async () => {
  const { out } = await runGpuaas({ url: '', token: '' }, ['serve', '--help']);
  const found = (text: string, pattern: RegExp) => [...new Set(text.match(pattern))].sort();
  const rows = page.split('\n').filter((line) => line.startsWith('| `--'));

  const variables = /GPUAAS_SERVER_[A-Z_]+/g;
  const options = found(rows.map((row) => row.split('|')[1]).join(), /--[a-z-]+/g);
  expect(found(rows.join(), variables)).toEqual(found(out, variables));
  expect([...options, '--help', '--init', '--json', '--new-admin-token', '--new-keys'].sort()).toEqual(
    found(out.replaceAll(/\(.*?\)/gs, ''), /(?<=^ {2}.*)--[a-z-]+/gm),
  );
});

it('draws every state of an instance', () => {
  expect(instanceStates.filter((state) => !page.includes(state))).toEqual([]);
});

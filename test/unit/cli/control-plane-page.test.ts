import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { instanceStates } from '../../../src/contract/instance-state.ts';

const root = resolve(import.meta.dirname, '../../..');
const page = readFileSync(resolve(root, 'docs/control-plane.md'), 'utf8');

it('lists the options of `gpuaas serve` with their variables, all of them and no others', async () => {
  const run = promisify(execFile);
  const { stdout } = await run(process.execPath, [resolve(root, 'src/cli/gpuaas.ts'), 'serve', '--help']);
  const found = (text: string, pattern: RegExp) => [...new Set(text.match(pattern))].sort();
  const rows = page.split('\n').filter((line) => line.startsWith('| `--'));

  const variables = /GPUAAS_SERVER_[A-Z_]+/g;
  const options = found(rows.map((row) => row.split('|')[1]).join(), /--[a-z-]+/g);
  expect(found(rows.join(), variables)).toEqual(found(stdout, variables));
  expect([...options, '--help', '--init', '--json', '--new-admin-token', '--new-keys'].sort()).toEqual(
    found(stdout.replaceAll(/\(.*?\)/gs, ''), /(?<=^ {2}.*)--[a-z-]+/gm),
  );
});

it('draws every state of an instance', () => {
  expect(instanceStates.filter((state) => !page.includes(state))).toEqual([]);
});

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import { text } from 'node:stream/consumers';
import { expect, it } from 'vitest';

const cli = resolve(import.meta.dirname, '../../../src/cli');

it.each([
  ['gpuaas', ['manifest', 'schema', 'nosana']],
  ['node-agent', ['schema', 'envelope']],
])('%s says nothing of its own where nobody reads its output any more', async (program, words) => {
  const stdio: ['ignore', 'pipe', 'pipe'] = ['ignore', 'pipe', 'pipe'];
  const child = spawn(process.execPath, [`${cli}/${program}.ts`, ...words], { stdio });
  child.stdout.destroy();

  const [said] = await Promise.all([text(child.stderr), once(child, 'exit')]);

  expect([child.exitCode, said]).toEqual([0, '']);
});

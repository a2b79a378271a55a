import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, it } from 'vitest';
import { until } from '../../../bootstrap/dev/processes.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';

const module = JSON.stringify(resolve(import.meta.dirname, '../../../bootstrap/dev/processes.ts'));

it('runs a program for a process that was killed, and for none that has released it', async () => {
  const folder = temporaryFolder('gone');
  const [killed, released] = ['killed', 'released'].map((name) => join(folder, name)) as [string, string];
  for (const each of [killed, released]) mkdirSync(each);
  const script = `
    import { runWhenGone } from ${module};
    const [killed, released] = process.argv.slice(1);
    runWhenGone(['rmdir', killed]);
    await runWhenGone(['rmdir', released])();
    console.log('ready');
    setInterval(() => undefined, 1000);`;
  const owner = spawn(process.execPath, ['--input-type=module', '-e', script, killed, released], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(owner.stdout, 'data');
  expect(existsSync(killed)).toBe(true);

  owner.kill('SIGKILL');

  expect(await until(async () => !existsSync(killed), 60)).toBe(true);
  expect(existsSync(released)).toBe(true);
});

import { EventEmitter } from 'node:events';
import { appendFileSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { watchFile } from '../../../../src/agent/logs/file-watch.ts';
import { temporaryFolder } from '../../../support/temporary-folder.ts';

const top = temporaryFolder('file-watch');
const { signal } = new AbortController();

it('remembers a change and an end that nobody waited for, the change first', async () => {
  const watcher = Object.assign(new EventEmitter(), { close: () => undefined });
  let change: (event: string, name: string) => void = () => undefined;
  const watch = watchFile(join(top, 'task-1.ndjson'), signal, (_folder, onChange) => {
    change = onChange;
    return watcher;
  });

  change('change', 'other.ndjson');
  change('change', 'task-1.ndjson');
  watcher.emit('error', new Error('out of watches'));

  expect([await watch.changed(), await watch.changed(), await watch.changed()]).toEqual([true, false, false]);
});

it('ends when the folder is taken away, also for whoever asks only then', async () => {
  const folder = join(top, 'gone');
  mkdirSync(folder);
  const watch = watchFile(join(folder, 'task-1.ndjson'), signal);

  appendFileSync(join(folder, 'task-1.ndjson'), 'x\n');
  expect(await watch.changed()).toBe(true);
  rmSync(folder, { recursive: true });

  let more = true;
  for (let looks = 0; more && looks < 5; looks += 1) {
    more = await watch.changed();
  }
  expect(more).toBe(false);
  expect(await watch.changed()).toBe(false);
  watch.close();
});

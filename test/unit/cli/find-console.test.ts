import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { findConsole } from '../../../src/cli/find-console.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';

const folder = temporaryFolder('console');

it('has the console of a release from the folder beside the program', async () => {
  mkdirSync(join(folder, 'console/assets'), { recursive: true });
  writeFileSync(join(folder, 'console/index.html'), '<p>page</p>');
  writeFileSync(join(folder, 'console/assets/app-1.js'), 'run()');
  writeFileSync(join(folder, 'console/assets/app-1.css'), 'p{}');

  const files = (await findConsole(folder)?.()) ?? new Map();

  expect([...files].map(([path, { contentType, immutable }]) => [path, contentType, immutable]).toSorted()).toEqual([
    ['/', 'text/html; charset=utf-8', false],
    ['/assets/app-1.css', 'text/css; charset=utf-8', true],
    ['/assets/app-1.js', 'text/javascript; charset=utf-8', true],
  ]);
  expect(String(files.get('/assets/app-1.js')?.bytes)).toBe('run()');
});

it('has none where there is neither a release nor a checkout', () => {
  expect(findConsole(join(folder, 'nowhere'))).toBeUndefined();
});

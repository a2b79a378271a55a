import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { readSystemTrouble } from '../../../src/agent/system-trouble.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';

const file = join(temporaryFolder('trouble'), 'file');
writeFileSync(file, '');

it.each([
  ['config.invalid', 'a folder below a file', () => mkdirSync(join(file, 'state'), { recursive: true })],
  ['config.invalid', 'a file that is a folder', () => writeFileSync('/proc', 'x')],
  ['disk.full', 'a full disk', () => writeFileSync('/dev/full', 'x')],
])('is %s for %s', (code, _name, work) => {
  expect(readSystemTrouble(thrownBy(work))).toMatchObject({ code });
});

it('names the path', () => {
  const path = join(file, 'state');

  expect(readSystemTrouble(thrownBy(() => mkdirSync(path)))).toMatchObject({
    detail: { path, reason: expect.stringContaining(`${path} (ENOTDIR)`) },
  });
});

it.each([new TypeError('x is not a function'), new Error('no code'), 'text', undefined])('leaves %s alone', (error) => {
  expect(readSystemTrouble(error)).toBeUndefined();
});

function thrownBy(work: () => void): unknown {
  try {
    work();
  } catch (error) {
    return error;
  }
  throw new Error('nothing was thrown');
}

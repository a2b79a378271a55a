import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { measureFile } from '../../../src/kit/measure-file.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';

const file = join(temporaryFolder('measure-file'), 'file');

it.each([0, 1, 200_000])('measures a file of %i bytes', async (size) => {
  const bytes = Buffer.alloc(size, 'x');
  writeFileSync(file, bytes);

  expect(await measureFile(file)).toEqual({ size, sha256: createHash('sha256').update(bytes).digest('hex') });
});

it('measures nothing that is not there', async () => {
  await expect(measureFile(`${file}-of-nobody`)).rejects.toThrow('ENOENT');
});

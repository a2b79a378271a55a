import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { expect, it } from 'vitest';
import { startPrograms, takeLong, withContainers } from '../../support/named-files.ts';

const root = resolve(import.meta.dirname, '../../..');

it('every test file that is named for what it takes is there', () => {
  expect([...withContainers, ...takeLong, ...startPrograms].filter((file) => !existsSync(resolve(root, file)))).toEqual(
    [],
  );
});

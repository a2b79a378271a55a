/** A module of Node itself with other functions in it: without a mock of the loader, which would outlast its file. */
import { syncBuiltinESMExports } from 'node:module';
import { beforeAll } from 'vitest';
import { atFileEnd } from './file-end.ts';

/** For all who import it, by name as well, until the tests of this file are over. `module` is its default export. */
export function replaceBuiltin<T extends object>(module: T, functions: Partial<T>): void {
  const real = { ...module };
  beforeAll(() => {
    Object.assign(module, functions);
    syncBuiltinESMExports();
    atFileEnd(() => {
      Object.assign(module, real);
      syncBuiltinESMExports();
    });
  });
}

/** A folder of one test file's own, gone when its tests are over. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { atFileEnd } from './file-end.ts';

/** Beside those of all others, or at another place. */
export function temporaryFolder(name: string, place = tmpdir()): string {
  const folder = mkdtempSync(join(place, `gpuaas-unit-${name}-`));
  atFileEnd(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

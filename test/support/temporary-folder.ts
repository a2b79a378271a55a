/** A folder of one test file's own, gone when its tests are over. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { atFileEnd } from './file-end.ts';

export function temporaryFolder(name: string): string {
  const folder = mkdtempSync(join(tmpdir(), `gpuaas-unit-${name}-`));
  atFileEnd(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Stand-ins for programs of the host: real executables in a folder of the test's own. */
import { chmodSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { onTestFinished } from 'vitest';

/** A new folder that goes when the test ends. */
export function testFolder(): string {
  const folder = mkdtempSync(join(realpathSync(tmpdir()), 'gpuaas-host-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Puts a shell script into the folder under the name of a program, and gives its path. */
export function standIn(folder: string, name: string, script: string): string {
  const path = join(folder, name);
  writeFileSync(path, `#!/bin/sh\n${script}\n`);
  chmodSync(path, 0o755);
  return path;
}

/** Writes files of a pretended root folder. */
export function pretendRoot(files: Readonly<Record<string, string>>): string {
  const root = testFolder();
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  return root;
}

/** Never aborts. */
export const patience = new AbortController().signal;

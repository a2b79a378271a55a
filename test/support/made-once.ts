/** What takes long to make and is the same for all files of a run: made by the first of them that needs it, gone with the run. */
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inject } from 'vitest';
import type { TestProject } from 'vitest/node';
import { withLock } from '../../bootstrap/dev/state.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** Folder of this run. */
    readonly madeOnce: string;
  }
}

/** Before all files of a project that has this in its `globalSetup`; what it gives is called after them. */
export function setup({ provide }: TestProject): () => void {
  const place = mkdtempSync(join(tmpdir(), 'gpuaas-once-'));
  provide('madeOnce', place);
  return () => rmSync(place, { recursive: true, force: true });
}

/** The folder that `make` has filled, here or in another file. Nobody may change anything in it. */
export async function madeOnce(name: string, make: (folder: string) => Promise<void>): Promise<string> {
  const folder = join(inject('madeOnce'), name);
  return await withLock(`made-once-${name}`, async () => {
    if (existsSync(folder)) return folder;
    const draft = `${folder}.draft`;
    rmSync(draft, { recursive: true, force: true });
    mkdirSync(draft);
    await make(draft);
    renameSync(draft, folder);
    return folder;
  });
}

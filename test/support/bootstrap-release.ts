/** A real release of this checkout, signed by keys of the tests' own, and what becomes of it in wrong hands. */
import { appendFileSync, cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeRelease } from '../../bootstrap/dev/release.ts';
import { initReleaseKeys } from '../../src/cli/gpuaas/release-key-files.ts';
import type { ReleaseArchitecture } from '../../src/contract/release.ts';
import { madeOnce } from './made-once.ts';

export interface BootstrapRelease extends Disposable {
  readonly version: string;
  /** Folder of the release, and of the keys that it is signed with. */
  readonly folder: string;
  readonly keys: string;
  /** A copy in which one byte more is in the first file whose name fits. */
  damaged(name: RegExp): string;
  /** A copy whose manifest says otherwise, and is not signed anew. */
  altered(change: (manifest: string) => string): string;
}

/** Takes half a minute, once in a run. */
export async function bootstrapRelease(version = '1.0.0'): Promise<BootstrapRelease> {
  const made = await madeOnce(`release-${version}`, async (work) => {
    const keys = join(work, 'keys');
    initReleaseKeys(keys);
    await makeRelease({
      ...{ out: join(work, 'release'), keys, version, commit: 'a'.repeat(40), seq: 7, channel: 'stable' },
      ...{ min_from: 0, floor: 0, expires: '2030-01-01T00:00:00Z', archs: [process.arch as ReleaseArchitecture] },
    });
  });
  const [folder, keys] = [join(made, 'release'), join(made, 'keys')];
  const place = mkdtempSync(join(tmpdir(), 'gpuaas-release-'));
  let copies = 0;
  const copy = () => {
    copies += 1;
    const to = join(place, `copy-${copies}`);
    cpSync(folder, to, { recursive: true });
    return to;
  };
  return {
    ...{ version, folder, keys },
    damaged: (name) => {
      const to = copy();
      appendFileSync(join(to, readdirSync(to).find((each) => name.test(each)) ?? ''), '\n');
      return to;
    },
    altered: (change) => {
      const to = copy();
      const file = join(to, 'release.json');
      writeFileSync(file, change(readFileSync(file, 'utf8')));
      return to;
    },
    [Symbol.dispose]: () => rmSync(place, { recursive: true, force: true }),
  };
}

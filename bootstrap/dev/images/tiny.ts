/** `tiny`: one static busybox, about 2 MB. It starts fast and stands for any workload where the program is no matter. */
import { chmod, copyFile, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { unpackPackage } from '../packages.ts';
import { run } from '../processes.ts';
import { place, placeFolders, type RootRecipe } from './recipe.ts';

/** The search path of every image without Debian's own. */
export const TINY_PATH = 'ENV PATH=/bin:/usr/bin';

export const tiny: RootRecipe = {
  kind: 'root',
  name: 'tiny',
  sources: ['tiny.ts'],
  changes: [TINY_PATH, 'CMD ["sh"]'],
  fill: fillTiny,
};

/** Fills a root with busybox, a link for each of its programs, and the few files that programs expect. */
export async function fillTiny(root: string): Promise<void> {
  await placeFolders(root, ['bin', 'dev', 'etc', 'home', 'proc', 'sys', 'usr', 'var', 'workspace']);
  await placeFolders(root, ['tmp'], 0o1777);
  await symlink('../bin', join(root, 'usr/bin'));
  await place(root, 'etc/passwd', 'root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n');
  await place(root, 'etc/group', 'root:x:0:\nnogroup:x:65534:\n');

  const busybox = join(await unpackPackage('busybox-static'), 'bin/busybox');
  await copyFile(busybox, join(root, 'bin/busybox'));
  await chmod(join(root, 'bin/busybox'), 0o755);
  for (const program of (await run(busybox, ['--list'])).trim().split('\n')) {
    if (program !== 'busybox') await symlink('busybox', join(root, 'bin', program));
  }
}

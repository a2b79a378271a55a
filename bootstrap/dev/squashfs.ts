/** What unpacks downloaded images, and makes them for tests. */
import { ensurePackages } from './packages.ts';

/** Makes sure that `sqfs2tar` and `tar2sqfs` are there. */
export async function ensureSquashfsTools(): Promise<void> {
  await ensurePackages(['squashfs-tools-ng']);
}

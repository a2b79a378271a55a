/**
 * Containers that were started and not yet looked at: one empty file each, in the gate's state.
 *
 * The mark is set before the engine is asked to start and taken away when the mounts were found in order. A gate that
 * was killed in between finds the mark and looks then.
 */
import { readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ensurePrivateFolder } from './seal-key.ts';

export class PendingStarts {
  readonly #folder: string | undefined;
  readonly #ids: Set<string>;

  /** Without a folder they are forgotten with this process. */
  constructor(folder?: string, ids: Iterable<string> = []) {
    this.#folder = folder;
    this.#ids = new Set(ids);
  }

  /** With the marks that an earlier gate left. */
  static async open(stateDir: string): Promise<PendingStarts> {
    const folder = join(stateDir, 'pending-starts');
    await ensurePrivateFolder(folder);
    const names = await readdir(folder);
    return new PendingStarts(
      folder,
      names.filter((name) => /^[0-9a-f]{64}$/.test(name)),
    );
  }

  ids(): string[] {
    return [...this.#ids];
  }

  has(id: string): boolean {
    return this.#ids.has(id);
  }

  async mark(id: string): Promise<void> {
    this.#ids.add(id);
    if (this.#folder !== undefined) await writeFile(join(this.#folder, id), '', { mode: 0o600 });
  }

  async settle(id: string): Promise<void> {
    if (this.#folder !== undefined) await rm(join(this.#folder, id), { force: true });
    this.#ids.delete(id);
  }
}

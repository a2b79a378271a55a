/** Brings what is written to a file to the disk while more is: to do that at the end of a large one would be waited for. */
import type { FileHandle } from 'node:fs/promises';

const syncBytes = 64 * 2 ** 20;

export class SyncBehind {
  readonly #file: Pick<FileHandle, 'datasync'>;
  #bytes = 0;
  #syncing: Promise<void> | undefined;
  /** The system tells of it once. */
  #failure: { readonly error: unknown } | undefined;

  constructor(file: Pick<FileHandle, 'datasync'>) {
    this.#file = file;
  }

  /** So many more bytes are in the file. */
  written(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes < syncBytes || this.#syncing) return;
    this.#bytes = 0;
    const fail = (error: unknown) => {
      this.#failure ??= { error };
    };
    this.#syncing = this.#file
      .datasync()
      .catch(fail)
      .finally(() => {
        this.#syncing = undefined;
      });
  }

  /** Fails where anything of it could not be brought there. */
  async end(): Promise<void> {
    await this.settled();
    if (this.#failure) throw this.#failure.error;
  }

  /** Resolves when nothing is on its way any more, whatever became of it. */
  async settled(): Promise<void> {
    await this.#syncing;
  }
}

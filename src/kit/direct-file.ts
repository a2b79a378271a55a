/**
 * Writes a large file past the page cache: nobody reads it soon, what others have in that memory stays there, and to fill a page for
 * each of its bytes costs as much as to hash them, on a virtual machine that is given its memory late several times that.
 *
 * What no block begins or ends with, and what a file system does not take so, is written as usual.
 */
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';

const { O_WRONLY, O_CREAT, O_TRUNC, O_DIRECT = 0 } = constants;
/** Of every disk: those with smaller ones take these as well. */
const blockBytes = 4096;
/** Said by file systems that do not write so, or not from there. */
const refusals = new Set(['EINVAL', 'EOPNOTSUPP', 'ENOTSUP']);
/** A smaller file is soon read by somebody, and is in no one's way. */
const leastBytes = 16 * 2 ** 20;

/** Memory that begins where a page does, as disks want it: V8 gives one that could change its size pages of its own. */
export function pageBuffer(bytes: number): Buffer<ArrayBuffer> {
  return Buffer.from(new ArrayBuffer(bytes, { maxByteLength: bytes }));
}

export class DirectFile {
  readonly #usual: FileHandle;
  #direct: FileHandle | undefined;
  #offset: number;

  private constructor(usual: FileHandle, direct: FileHandle | undefined, offset: number) {
    this.#usual = usual;
    this.#direct = direct;
    this.#offset = offset;
  }

  /** Goes on at the end of a file that will have `size` bytes; where that is at 0, a new one begins, and is nobody else's. */
  static async open(path: string, offset: number, size: number): Promise<DirectFile> {
    const usual = await open(path, offset === 0 ? O_WRONLY | O_CREAT | O_TRUNC : O_WRONLY, 0o600);
    const direct = size < leastBytes ? undefined : await open(path, O_WRONLY | O_DIRECT).catch(() => undefined);
    return new DirectFile(usual, direct, offset);
  }

  /** The bytes are the caller's again when it resolves. They are on the disk when the file was synced, as those of any other. */
  async append(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; ) {
      const written = await this.#write(bytes.subarray(at));
      at += written;
      this.#offset += written;
    }
  }

  async close(): Promise<void> {
    try {
      await this.#direct?.close();
    } finally {
      await this.#usual.close();
    }
  }

  async #write(bytes: Uint8Array): Promise<number> {
    const whole = this.#offset % blockBytes === 0 ? bytes.length - (bytes.length % blockBytes) : 0;
    if (this.#direct && whole > 0) {
      try {
        return (await this.#direct.write(bytes, 0, whole, this.#offset)).bytesWritten;
      } catch (error) {
        if (!refusals.has((error as NodeJS.ErrnoException).code ?? '')) throw error;
        const refused = this.#direct;
        this.#direct = undefined;
        await refused.close();
      }
    }
    return (await this.#usual.write(bytes, 0, bytes.length, this.#offset)).bytesWritten;
  }
}

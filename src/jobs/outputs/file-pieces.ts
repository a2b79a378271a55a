/** A file in pieces that are as large as the line is quick: the next one is read while one is on its way. */
import type { FileHandle } from 'node:fs/promises';

/** Gets through within the time that a request has, also over a slow line. */
const firstPieceBytes = 4 * 2 ** 20;
/** For a line on which one of half of that was through in no time. */
const mostPieceBytes = 16 * 2 ** 20;
const quickMs = 2000;

interface Piece {
  readonly offset: number;
  /** Undefined where the file is shorter. */
  readonly bytes: Uint8Array | undefined;
}

export class FilePieces {
  readonly #file: FileHandle;
  readonly #total: number;
  readonly #has: (bytes: number) => Promise<boolean>;
  /** Most bytes of those that are not read yet. */
  #size = firstPieceBytes;
  #buffer = new Uint8Array();
  #other = new Uint8Array();
  #ahead: Promise<Piece> | undefined;

  /** `has` waits until the file has so many bytes; false where it never will. */
  constructor(file: FileHandle, total: number, has: (bytes: number) => Promise<boolean> = async () => true) {
    this.#file = file;
    this.#total = total;
    this.#has = has;
  }

  /** It is there until the next is asked for. */
  async at(offset: number): Promise<Uint8Array | undefined> {
    const ahead = await this.#ahead;
    const { bytes } = ahead?.offset === offset ? ahead : await this.#read(offset);
    if (bytes) {
      this.#ahead = this.#read(offset + bytes.length);
      // Told with the next.
      this.#ahead.catch(() => undefined);
    }
    return bytes;
  }

  /** So many bytes were through after that time. */
  sent(bytes: number, ms: number): void {
    if (bytes === this.#size && ms < quickMs) this.#size = Math.min(this.#size * 2, mostPieceBytes);
  }

  /** Resolves when nothing of the file is read any more. */
  async settled(): Promise<void> {
    await this.#ahead?.catch(() => undefined);
  }

  async #read(offset: number): Promise<Piece> {
    const length = Math.min(this.#size, this.#total - offset);
    if (length < 0 || !(await this.#has(offset + length))) return { offset, bytes: undefined };
    [this.#buffer, this.#other] = [this.#other, this.#buffer];
    if (this.#buffer.length < length) this.#buffer = new Uint8Array(length);
    const bytes = this.#buffer.subarray(0, length);
    const { bytesRead } = await this.#file.read(bytes, 0, length, offset);
    return { offset, bytes: bytesRead < length ? undefined : bytes };
  }
}

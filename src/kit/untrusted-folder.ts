/**
 * Reads, as root, the files of somebody with fewer rights, who may change them at any moment. No link is followed, nothing is waited
 * for and nothing larger than expected is taken; what was read is judged afterwards, never what lies there.
 */
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { writeWhole } from './durable.ts';

const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK, O_DIRECTORY, O_WRONLY, O_CREAT, O_EXCL } = constants;
const chunkBytes = 1024 * 1024;

/** What is thrown for what is no plain file, not there, or too long. */
export type Refuse = (file: string, reason: string) => Error;

export class UntrustedFolder {
  readonly #handle: number;
  readonly #refuse: Refuse;

  /** Not by a link; which folders lead there is root's business. */
  constructor(path: string, refuse: Refuse) {
    this.#refuse = refuse;
    this.#handle = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, refuse);
  }

  /** All of it, which must be no more than `maxBytes`. */
  read(name: string, maxBytes: number): Buffer {
    const parts: Buffer[] = [];
    this.#pass(name, maxBytes, (chunk) => parts.push(Buffer.from(chunk)));
    return Buffer.concat(parts);
  }

  /** Into a new file of ours. */
  copy(name: string, to: string, maxBytes: number, onChunk: (chunk: Buffer) => void): void {
    const target = openSync(to, O_WRONLY | O_CREAT | O_EXCL, 0o600);
    try {
      this.#pass(name, maxBytes, (chunk) => {
        onChunk(chunk);
        writeWhole(target, chunk);
      });
    } finally {
      closeSync(target);
    }
  }

  close(): void {
    closeSync(this.#handle);
  }

  #pass(name: string, maxBytes: number, take: (chunk: Buffer) => void): void {
    const file = open(`/proc/self/fd/${this.#handle}/${name}`, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, this.#refuse);
    try {
      const found = fstatSync(file);
      if (!found.isFile()) {
        throw this.#refuse(name, 'It is no plain file.');
      }
      // One byte more than it has now. What it grows by meanwhile is seen by another turn.
      const chunk = Buffer.allocUnsafe(Math.min(chunkBytes, maxBytes + 1, found.size + 1));
      for (let total = 0; ; ) {
        const length = readSync(file, chunk);
        total += length;
        if (total > maxBytes) {
          throw this.#refuse(name, `It is longer than ${maxBytes} bytes.`);
        }
        if (length === 0) {
          return;
        }
        take(chunk.subarray(0, length));
      }
    } finally {
      closeSync(file);
    }
  }
}

function open(path: string, flags: number, refuse: Refuse): number {
  try {
    return openSync(path, flags);
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    if (['ENOENT', 'ELOOP', 'ENOTDIR', 'ENXIO', 'EACCES', 'ENODEV'].includes(code)) {
      throw refuse(path.split('/').at(-1) ?? '', `It cannot be opened: ${code}.`);
    }
    throw error;
  }
}

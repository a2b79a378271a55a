/**
 * Reads, as root, what somebody else has staged and may change at any moment. Nothing is followed, nothing is waited for and
 * nothing larger than expected is taken; what was copied is judged afterwards, never what lies there.
 */
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { AgentError } from '../../contract/failures.ts';
import { writeWhole } from '../../kit/durable.ts';

const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK, O_DIRECTORY, O_WRONLY, O_CREAT, O_EXCL } = constants;
const chunkBytes = 1024 * 1024;

export class UntrustedFolder {
  readonly #handle: number;

  /** Not by a link; which folders lead there is root's business. */
  constructor(path: string) {
    this.#handle = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  }

  /** Throws `update.damaged` for what is no plain file, not there, or longer than `maxBytes`. */
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
    const file = open(`/proc/self/fd/${this.#handle}/${name}`, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    try {
      if (!fstatSync(file).isFile()) {
        throw damaged(name, 'It is no plain file.');
      }
      const chunk = Buffer.alloc(Math.min(chunkBytes, maxBytes + 1));
      for (let total = 0; ; ) {
        const length = readSync(file, chunk);
        total += length;
        if (total > maxBytes) {
          throw damaged(name, 'It is longer than the release says.');
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

function open(path: string, flags: number): number {
  try {
    return openSync(path, flags);
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    if (['ENOENT', 'ELOOP', 'ENOTDIR', 'ENXIO', 'EACCES', 'ENODEV'].includes(code)) {
      throw damaged(path.split('/').at(-1) ?? '', `It cannot be opened: ${code}.`);
    }
    throw error;
  }
}

function damaged(file: string, reason: string): AgentError {
  return new AgentError('update.damaged', { file, reason });
}

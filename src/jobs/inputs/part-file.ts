/**
 * A file that is being fetched in pieces side by side, and how much of each piece there is. What was written is known exactly
 * also after a SIGKILL; after a crash of the host, whose disk may hold less than it said, nothing of it counts.
 */
import { constants, type FileHandle, open } from 'node:fs/promises';
import { readBootId } from '../../host/boot-id.ts';

/** A file larger than that is fetched in pieces at once. */
const pieceBytes = 32 * 1024 * 1024;
const mostPieces = 4;
const counterBytes = 8;

export interface Piece {
  readonly index: number;
  readonly start: number;
  /** Behind its last byte; undefined where nobody knows how long the file is. */
  readonly end: number | undefined;
}

export class PartFile {
  readonly #data: FileHandle;
  readonly #counts: FileHandle;
  readonly #boot = Buffer.from(readBootId());
  readonly #size: number | undefined;
  #done: number[] = [];

  private constructor(data: FileHandle, counts: FileHandle, size: number | undefined) {
    this.#data = data;
    this.#counts = counts;
    this.#size = size;
  }

  /** `goesOn`: what there is of it counts, and it may be fetched in pieces. */
  static async open(path: string, size: number | undefined, goesOn: boolean): Promise<PartFile> {
    const part = new PartFile(await openForBoth(path), await openForBoth(countsOf(path)), size);
    const found = await part.#counts.readFile();
    const [boot, known] = [found.subarray(0, part.#boot.length), found.subarray(part.#boot.length)];
    if (goesOn && boot.equals(part.#boot) && known.length > 0 && known.length % counterBytes === 0) {
      part.#done = countersIn(known);
    } else {
      await part.restart(goesOn && size !== undefined && size > pieceBytes ? mostPieces : 1);
    }
    return part;
  }

  get pieces(): readonly Piece[] {
    const size = this.#size;
    if (size === undefined) return [{ index: 0, start: 0, end: undefined }];
    const length = Math.ceil(size / this.#done.length);
    return this.#done.map((_, index) => ({ index, start: index * length, end: Math.min(size, (index + 1) * length) }));
  }

  /** Bytes of a piece that are there. */
  done(piece: Piece): number {
    return this.#done[piece.index] ?? 0;
  }

  total(): number {
    return this.#done.reduce((sum, bytes) => sum + bytes, 0);
  }

  /** Behind what there is of the piece. */
  async append(piece: Piece, bytes: Buffer): Promise<void> {
    const done = this.done(piece);
    for (let written = 0; written < bytes.length; ) {
      const rest = bytes.subarray(written);
      written += (await this.#data.write(rest, 0, rest.length, piece.start + done + written)).bytesWritten;
    }
    const count = Buffer.alloc(counterBytes);
    count.writeBigUInt64BE(BigInt(done + bytes.length));
    await this.#counts.write(count, 0, counterBytes, this.#boot.length + piece.index * counterBytes);
    this.#done[piece.index] = done + bytes.length;
  }

  /** From the beginning, in so many pieces. */
  async restart(pieces: number): Promise<void> {
    await this.#counts.truncate(0);
    await this.#data.truncate(0);
    await this.#counts.write(Buffer.concat([this.#boot, Buffer.alloc(pieces * counterBytes)]), 0, undefined, 0);
    this.#done = Array<number>(pieces).fill(0);
  }

  async close(): Promise<void> {
    await Promise.all([this.#data.close(), this.#counts.close()]);
  }
}

export function countsOf(path: string): string {
  return `${path}.counts`;
}

/** Made where it is not there, and never emptied. */
async function openForBoth(path: string): Promise<FileHandle> {
  return await open(path, constants.O_RDWR | constants.O_CREAT, 0o600);
}

function countersIn(bytes: Buffer): number[] {
  return Array.from({ length: bytes.length / counterBytes }, (_, index) =>
    Number(bytes.readBigUInt64BE(index * counterBytes)),
  );
}

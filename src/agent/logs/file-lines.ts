/** The lines of a file that may still grow. */
import type { FileHandle } from 'node:fs/promises';

export interface FileLine {
  /** Where it begins in the file, and where the next one does. */
  readonly start: number;
  readonly end: number;
  /** Without the line feed. */
  readonly data: Buffer;
}

const chunkBytes = 64 * 1024;
const newline = 0x0a;

/** From `offset`, which is the beginning of a line, to the last line that has an end now. */
export async function* readFileLines(handle: FileHandle, offset: number): AsyncGenerator<FileLine, void, undefined> {
  const chunk = Buffer.allocUnsafe(chunkBytes);
  let start = offset;
  let begun: Buffer[] = [];
  for (let position = offset; ; ) {
    const { bytesRead } = await handle.read(chunk, 0, chunkBytes, position);
    if (bytesRead === 0) {
      return;
    }
    position += bytesRead;
    let from = 0;
    for (let end = chunk.indexOf(newline); end !== -1 && end < bytesRead; end = chunk.indexOf(newline, from)) {
      const data = Buffer.concat([...begun, chunk.subarray(from, end)]);
      begun = [];
      from = end + 1;
      yield { start, end: start + data.length + 1, data };
      start += data.length + 1;
    }
    begun.push(Buffer.from(chunk.subarray(from, bytesRead)));
  }
}

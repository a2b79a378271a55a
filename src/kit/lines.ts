/** Cuts a stream of bytes into lines in bounded memory. */

/**
 * Yields each line without its end (`\n` or `\r\n`), and what follows the last one if it is not empty. Throws if a line
 * is longer than `limit` bytes.
 */
export async function* readLines(
  chunks: AsyncIterable<Uint8Array>,
  limit: number,
): AsyncGenerator<string, void, undefined> {
  let begun: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of chunks) {
    let from = 0;
    for (let end = chunk.indexOf(newline); end !== -1; end = chunk.indexOf(newline, from)) {
      yield textOf([...begun, chunk.subarray(from, end)]);
      begun = [];
      length = 0;
      from = end + 1;
    }
    if (from < chunk.length) {
      begun.push(chunk.subarray(from));
      length += chunk.length - from;
    }
    if (length > limit) {
      throw new RangeError(`a line is longer than ${limit} bytes`);
    }
  }
  if (length > 0) {
    yield textOf(begun);
  }
}

const newline = 0x0a;

function textOf(parts: readonly Uint8Array[]): string {
  const text = Buffer.concat(parts).toString();
  return text.endsWith('\r') ? text.slice(0, -1) : text;
}

/** What comes in small chunks, in pieces that fill the buffers that `next` gives; the last one is shorter. */
export async function* inPieces(chunks: AsyncIterable<Uint8Array>, next: () => Buffer): AsyncGenerator<Buffer, void> {
  let piece = next();
  let length = 0;
  for await (const chunk of chunks) {
    for (let at = 0; at < chunk.length; ) {
      const part = chunk.subarray(at, at + piece.length - length);
      piece.set(part, length);
      length += part.length;
      at += part.length;
      if (length < piece.length) continue;
      yield piece;
      piece = next();
      length = 0;
    }
  }
  if (length > 0) yield piece.subarray(0, length);
}

/** What stands between who gives bytes and who writes them. */
export type Passing = (chunks: AsyncIterable<Buffer>) => AsyncIterable<Buffer>;

export const asItIs: Passing = (chunks) => chunks;

/** Passes what comes on, and asks `check` behind each so many bytes; fails as it does. */
export async function* checkEach(
  bytes: number,
  check: () => Promise<void>,
  chunks: AsyncIterable<Buffer>,
): AsyncGenerator<Buffer, void> {
  let left = bytes;
  for await (const chunk of chunks) {
    yield chunk;
    left -= chunk.length;
    if (left > 0) continue;
    left = bytes;
    await check();
  }
}

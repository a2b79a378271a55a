/** A list of JSON objects, read one by one as it comes: for lists that may be larger than what is held at once. */

const [quote, backslash] = [0x22, 0x5c];
const [openList, closeList, open, close] = [...'[]{}'].map((char) => char.charCodeAt(0));

/** Each is `maxBytes` at most. Throws where it is no such list, or ends before its end. */
export async function* readObjects(chunks: AsyncIterable<Buffer>, maxBytes: number): AsyncGenerator<unknown> {
  const depth = new Depth();
  let parts: Buffer[] = [];
  let length = 0;
  for await (const chunk of chunks) {
    let begin = 0;
    for (let at = depth.behindString(chunk, 0); at < chunk.length; at = depth.behindString(chunk, at + 1)) {
      const by = depth.add(chunk[at] as number);
      if (by === 1 && depth.now === 2) begin = at;
      if (by !== -1 || depth.now !== 1) continue;
      yield JSON.parse(Buffer.concat([...parts, chunk.subarray(begin, at + 1)]).toString());
      [parts, length] = [[], 0];
    }
    if (depth.now < 2) continue;
    parts.push(chunk.subarray(begin));
    length += chunk.length - begin;
    if (length > maxBytes) throw new Error(`an object of the list is larger than ${maxBytes} bytes`);
  }
  if (!depth.isOver) throw new Error('the list ends before its end');
}

/** How many brackets are open. */
class Depth {
  now = 0;
  /** All that were open are closed. */
  isOver = false;
  #isInString = false;
  #isEscaped = false;

  /** By how many a byte changes it that is in no string. */
  add(byte: number): number {
    this.#isInString = byte === quote;
    const by = byte === open || byte === openList ? 1 : byte === close || byte === closeList ? -1 : 0;
    this.now += by;
    if (by !== 0) this.isOver = this.now === 0;
    return by;
  }

  /** `at` itself where no string is open; else what follows its end, or the length of a chunk that has no end of it. */
  behindString(chunk: Buffer, at: number): number {
    let from = at;
    while (this.#isInString && from < chunk.length) {
      if (this.#isEscaped) {
        this.#isEscaped = false;
        from += 1;
      }
      const found = chunk.indexOf(quote, from);
      const end = found === -1 ? chunk.length : found;
      let escapes = end;
      while (escapes > from && chunk[escapes - 1] === backslash) escapes -= 1;
      this.#isEscaped = (end - escapes) % 2 === 1;
      if (found === -1) return end;
      if (this.#isEscaped) this.#isEscaped = false;
      else this.#isInString = false;
      from = end + 1;
    }
    return from;
  }
}

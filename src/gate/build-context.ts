/**
 * The body of a build: a plain tar whose first entry is the Dockerfile.
 *
 * That one is read and judged, and put behind all others again under a name that its client could not know: whatever
 * programs make of the entries before, no link and no second entry can stand in its place. The engine takes it out of the
 * context itself, by a `.dockerignore` of ours that names both.
 */
import { AgentError } from '../contract/failures.ts';
import { blockBytes, type Header, HeaderTrouble, isZero, readHeader, readPax } from '../kit/tarball/read-header.ts';
import { fileEntry } from '../kit/tarball/write-tar.ts';
import { dockerfileEntry, maxDockerfileBytes } from '../policy/dockerfile-lines.ts';

const maxPaxBytes = 64 * 1024;
const types = ['0', '2', '5'];

export class BuildContext {
  readonly #chunks: AsyncIterator<Buffer>;
  readonly #maxBytes: number;
  #rest: Buffer = Buffer.alloc(0);
  #read = 0;

  constructor(chunks: AsyncIterator<Buffer>, maxBytes: number) {
    this.#chunks = chunks;
    this.#maxBytes = maxBytes;
  }

  /** To be asked first. */
  async dockerfile(): Promise<string> {
    const header = readOf(await this.#take(blockBytes));
    if (header?.type !== '0' || header.path.toString() !== dockerfileEntry) {
      throw refusal(`its first entry must be the file ${dockerfileEntry}`);
    }
    if (header.size > maxDockerfileBytes) throw refusal('its Dockerfile is larger than 1 MiB');
    const content = (await this.#take(padded(header.size))).subarray(0, header.size);
    const text = content.toString('utf8');
    if (!Buffer.from(text).equals(content)) throw refusal('its Dockerfile is no UTF-8');
    return text;
  }

  /** The context as the engine gets it. `name`: of the Dockerfile in it. */
  async *tar(name: string, dockerfile: string): AsyncGenerator<Buffer> {
    let override: number | undefined;
    let isExtended = false;
    for (;;) {
      const block = await this.#take(blockBytes);
      if (isZero(block)) {
        if (isExtended) throw refusal('it ends behind an extended header');
        break;
      }
      const header = readOf(block);
      yield block;
      if (header?.type === 'x') {
        if (header.size > maxPaxBytes) throw refusal('a header of it is too large');
        const body = await this.#take(padded(header.size));
        override = paxOf(body.subarray(0, header.size)).size;
        isExtended = true;
        yield body;
        continue;
      }
      for (let left = padded(contentOf(block, header, override)); left > 0; ) {
        const part = await this.#some(left);
        left -= part.length;
        yield part;
      }
      override = undefined;
      isExtended = false;
    }
    yield fileEntry('.dockerignore', Buffer.from(`.dockerignore\n${name}\n`));
    yield fileEntry(name, Buffer.from(dockerfile));
    yield Buffer.alloc(2 * blockBytes);
    for (;;) {
      const { done, value } = await this.#chunks.next();
      if (done) return;
      this.#count(value);
    }
  }

  async #take(length: number): Promise<Buffer> {
    const parts: Buffer[] = [];
    for (let left = length; left > 0; ) {
      const part = await this.#some(left);
      parts.push(part);
      left -= part.length;
    }
    return Buffer.concat(parts);
  }

  /** At most so many bytes, and at least one. */
  async #some(most: number): Promise<Buffer> {
    while (this.#rest.length === 0) {
      const { done, value } = await this.#chunks.next();
      if (done) throw refusal('it ends in the middle');
      this.#count(value);
      this.#rest = value;
    }
    const part = this.#rest.subarray(0, most);
    this.#rest = this.#rest.subarray(part.length);
    return part;
  }

  #count({ length }: Buffer): void {
    this.#read += length;
    if (this.#read > this.#maxBytes) throw refusal(`it is larger than ${this.#maxBytes} bytes`);
  }
}

/** Bytes of the entry. Where the engine sees none, it would take them for further entries. */
function contentOf(block: Buffer, header: Header | undefined, override: number | undefined): number {
  const type = block.toString('latin1', 156, 157);
  if (!header || !types.includes(type)) throw refusal('only files, folders and symbolic links are taken');
  const size = override ?? header.size;
  if (type !== '0' && size > 0) throw refusal('only files have a content');
  return size;
}

function readOf(block: Buffer) {
  return inWords(() => readHeader(block));
}

function paxOf(bytes: Buffer) {
  return inWords(() => readPax(bytes, false));
}

function inWords<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof HeaderTrouble) throw refusal(`it ${error.message}`);
    throw error;
  }
}

function padded(size: number): number {
  return Math.ceil(size / blockBytes) * blockBytes;
}

function refusal(message: string): AgentError {
  const error = { path: '', code: 'context', message: `the body is no plain tar of a build: ${message}` };
  return new AgentError('policy.refused', { errors: [error] });
}

/**
 * An answer of HTTP/1.1 on a Unix socket whose body is too large for Node's own client: that makes a buffer of each read, and to
 * collect those costs more than all else. Here one buffer is read into again and again.
 */
import { connect, type Socket } from 'node:net';

export interface PlainQuestion {
  readonly socketPath: string;
  /** Path and query, as they stand in the first line. */
  readonly path: string;
  /** Ends the connection, at any time. */
  readonly signal: AbortSignal;
}

const mostHeadBytes = 32 * 1024;
const readBytes = 256 * 1024;
const endOfHead = '\r\n\r\n';
/** Of the size of a chunk. */
const mostLine = 64;

/** Resolves when the headers are there. Rejects as the socket does, or with the reason of the signal. */
export async function askPlainly({ socketPath, path, signal }: PlainQuestion): Promise<PlainAnswer> {
  signal.throwIfAborted();
  const answer = new PlainAnswer(socketPath, signal);
  try {
    answer.write(`GET ${path} HTTP/1.1\r\nHost: engine\r\nConnection: close\r\n\r\n`);
    await answer.readHead();
    return answer;
  } catch (error) {
    answer.destroy();
    throw error;
  }
}

/** What is read of the connection, one piece at a time: each is there until the next is asked for. */
export class PlainAnswer {
  /** 0 where it is none that can be read. */
  status = 0;
  /** Those of the answer, by their names in small letters. */
  headers: Readonly<Record<string, string>> = {};
  readonly #socket: Socket;
  #head: Buffer = Buffer.alloc(0);
  #isAsked = false;
  #arrived = pending();
  /** How the connection has ended, for whoever asks after that. */
  #end: (() => void) | undefined;

  constructor(socketPath: string, signal: AbortSignal) {
    this.#socket = connect({
      ...{ path: socketPath, signal },
      onread: {
        buffer: Buffer.allocUnsafeSlow(readBytes),
        // Nothing more is read into the buffer until somebody asks for it.
        callback: (count, bytes) => {
          this.#arrived.resolve(Buffer.from(bytes.buffer, bytes.byteOffset, count));
          return false;
        },
      },
    });
    const end = (settle: () => void) => {
      this.#end ??= settle;
      this.#end();
    };
    const fail = (error: unknown) => end(() => this.#arrived.reject(signal.aborted ? signal.reason : error));
    this.#socket.on('error', fail);
    this.#socket.once('end', () => end(() => this.#arrived.resolve(undefined)));
    this.#socket.once('close', () => fail(cut()));
  }

  /** True for an answer that was found, and that has its end in itself. */
  get isChunked(): boolean {
    return this.status === 200 && this.headers['transfer-encoding'] === 'chunked';
  }

  write(text: string): void {
    this.#socket.write(text);
  }

  async readHead(): Promise<void> {
    let head = Buffer.alloc(0);
    for (;;) {
      const bytes = await this.#next();
      if (bytes === undefined || head.length + bytes.length > mostHeadBytes + readBytes) throw cut();
      head = Buffer.concat([head, bytes]);
      const end = head.indexOf(endOfHead);
      if (end > mostHeadBytes || (end < 0 && head.length > mostHeadBytes)) throw cut();
      if (end < 0) continue;
      this.#head = head.subarray(end + endOfHead.length);
      this.#judge(head.toString('latin1', 0, end).split('\r\n'));
      return;
    }
  }

  /** All of a body that says how long it is, undefined for another one and for one that is longer than `most`. Rejects where it is cut. */
  async readWhole(most: number): Promise<Buffer | undefined> {
    const said = this.headers['content-length'] ?? '';
    const length = /^\d{1,9}$/.test(said) ? Number(said) : Number.POSITIVE_INFINITY;
    if (length > most) return undefined;
    try {
      let body = this.#head;
      while (body.length < length) {
        const bytes = await this.#next();
        if (!bytes) throw cut();
        body = Buffer.concat([body, bytes]);
      }
      return body.subarray(0, length);
    } finally {
      this.destroy();
    }
  }

  /** All bytes of the body as they stand on the line, until the other side ends. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer, void, undefined> {
    try {
      if (this.#head.length > 0) yield this.#head;
      for (let bytes = await this.#next(); bytes; bytes = await this.#next()) yield bytes;
    } finally {
      this.destroy();
    }
  }

  destroy(): void {
    this.#socket.destroy();
  }

  async #next(): Promise<Buffer | undefined> {
    if (this.#isAsked) {
      this.#arrived = pending();
      this.#end?.();
      this.#socket.resume();
    }
    this.#isAsked = true;
    return await this.#arrived.promise;
  }

  #judge([first = '', ...lines]: string[]): void {
    this.status = Number(/^HTTP\/1\.1 (\d{3})(?: |$)/.exec(first)?.[1] ?? 0);
    this.headers = Object.fromEntries(
      lines.map((line) => {
        const [, name = '', value = ''] = /^([^:]*):\s*(.*?)\s*$/.exec(line) ?? [];
        return [name.toLowerCase(), value];
      }),
    );
  }
}

/** The body of an answer that comes in chunks; each piece is there until the next is asked for. Fails where it is cut. */
export async function* unchunked(bytes: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void, undefined> {
  const frames = new Frames();
  for await (const piece of bytes) {
    for (let at = 0; at < piece.length; ) {
      const part = piece.subarray(at, at + frames.left);
      if (part.length === 0) {
        at = frames.read(piece, at);
        if (frames.isOver) return;
        continue;
      }
      at += part.length;
      frames.pass(part.length);
      yield part;
    }
  }
  throw cut();
}

/** What is between the bytes: a line with the size before a chunk, and an empty one behind it. */
class Frames {
  /** Of the chunk that is being read. */
  left = 0;
  /** True behind the chunk of no bytes; what may come then is nothing to anybody. */
  isOver = false;
  #line = '';
  #isBehindChunk = false;

  pass(bytes: number): void {
    this.left -= bytes;
    this.#isBehindChunk = this.left === 0;
  }

  /** Goes on with a line, and returns what is behind that, or behind the piece. */
  read(piece: Buffer, at: number): number {
    const end = piece.indexOf(10, at);
    this.#line += piece.toString('latin1', at, end < 0 ? piece.length : end);
    if (this.#line.length > mostLine) throw cut();
    if (end < 0) return piece.length;
    this.#take(this.#line.replace(/\r$/, ''));
    this.#line = '';
    return end + 1;
  }

  #take(line: string): void {
    if (this.#isBehindChunk) {
      if (line !== '') throw cut();
      this.#isBehindChunk = false;
      return;
    }
    if (!/^[0-9a-f]{1,12}$/i.test(line)) throw cut();
    this.left = Number.parseInt(line, 16);
    this.isOver = this.left === 0;
  }
}

function pending() {
  const arrived = Promise.withResolvers<Buffer | undefined>();
  // Nobody may have asked yet.
  arrived.promise.catch(() => undefined);
  return arrived;
}

function cut(): Error {
  return Object.assign(new Error('The answer was cut'), { code: 'ECONNRESET' });
}

/** A web server on loopback that keeps what it was asked, and does wrong what a test wants it to. */
import { createHash, randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { atFileEnd } from './file-end.ts';

export interface Asked {
  readonly method: string;
  /** Path and query. */
  readonly url: string;
  readonly range: string | undefined;
  readonly authorization: string | undefined;
}

/** Says true where it has answered; it is gone then. */
export type Fault = (request: IncomingMessage, response: ServerResponse) => boolean;
export type Answer = (request: IncomingMessage, response: ServerResponse, url: URL) => Promise<void> | void;

export interface LoopbackSource {
  readonly origin: string;
  readonly asked: Asked[];
  /** Tried before anything else. */
  readonly faults: Fault[];
  close(): void;
}

export async function loopbackSource(answer: Answer): Promise<LoopbackSource> {
  const asked: Asked[] = [];
  const faults: Fault[] = [];
  const server = createServer((request, response) => {
    const { method = '', url = '', headers } = request;
    asked.push({ method, url, range: headers.range, authorization: headers.authorization });
    const wrong = faults.findIndex((fault) => fault(request, response));
    if (wrong >= 0) faults.splice(wrong, 1);
    else void answered(answer, request, response, new URL(url, `http://${headers.host}`));
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const close = () => {
    server.closeAllConnections();
    server.close();
  };
  atFileEnd(close);
  return { origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked, faults, close };
}

async function answered(answer: Answer, request: IncomingMessage, response: ServerResponse, url: URL): Promise<void> {
  try {
    await answer(request, response, url);
  } catch {
    // Whoever asks may go away in the middle.
    response.destroy();
  }
}

/** Bytes of a file of this size that were asked for, by ranges or as a whole, without those that only ask what there is. */
export function bytesAsked(asked: readonly Asked[], size: number): number {
  return asked
    .filter(({ method, range }) => method === 'GET' && range !== 'bytes=0-0')
    .map(({ range }) => /^bytes=(\d+)-(\d+)$/.exec(range ?? `bytes=0-${size - 1}`) ?? [])
    .reduce((sum, [, first, last]) => sum + Number(last) - Number(first) + 1, 0);
}

export interface Content {
  readonly size: number;
  readonly sha256: string;
  /** As an object store has it. */
  readonly etag: string;
  read(start: number, end: number): Iterable<Buffer> | AsyncIterable<Buffer>;
}

/** Never waits for anything. */
interface HeldContent extends Content {
  read(start: number, end: number): Iterable<Buffer>;
}

export function contentOf(bytes: string | Uint8Array): HeldContent {
  const whole = Buffer.from(bytes as string);
  return {
    ...{ size: whole.length, sha256: createHash('sha256').update(whole).digest('hex') },
    etag: `"${createHash('md5').update(whole).digest('hex')}"`,
    read: (start, end) => (end > start ? [whole.subarray(start, end)] : []),
  };
}

const blockBytes = 1024 * 1024;

/** So many bytes that are nowhere all at once. No two blocks of them are the same. */
export function largeContent(size: number): HeldContent {
  const random = randomBytes(blockBytes);
  const read = function* (start: number, end: number): Iterable<Buffer> {
    for (let at = start; at < end; ) {
      const index = Math.floor(at / blockBytes);
      const block = Buffer.from(random);
      block.writeUInt32BE(index, 0);
      const from = at - index * blockBytes;
      const until = Math.min(blockBytes, from + end - at, from + 64 * 1024);
      yield block.subarray(from, until);
      at += until - from;
    }
  };
  const hash = createHash('sha256');
  for (const block of read(0, size)) hash.update(block);
  const sha256 = hash.digest('hex');
  return { size, sha256, etag: `"${sha256.slice(0, 32)}-5"`, read };
}

/** As file servers and object stores do: whole or a range, or not because it is another one by now. */
export async function sendContent(
  request: IncomingMessage,
  response: ServerResponse,
  content: Content,
  headers: Readonly<Record<string, string>> = { etag: content.etag },
): Promise<void> {
  const { range, 'if-match': match } = request.headers;
  if (match !== undefined && match !== headers['etag']) {
    response.writeHead(412).end();
    return;
  }
  const [, first, last] = /^bytes=(\d+)-(\d*)$/.exec(range ?? '') ?? [];
  const start = Number(first ?? 0);
  const end = last ? Math.min(content.size, Number(last) + 1) : content.size;
  if (first !== undefined && start >= content.size) {
    response.writeHead(416, { 'content-range': `bytes */${content.size}` }).end();
    return;
  }
  const span = { 'accept-ranges': 'bytes', 'content-length': end - start, ...headers };
  if (first === undefined) response.writeHead(200, span);
  else response.writeHead(206, { ...span, 'content-range': `bytes ${start}-${end - 1}/${content.size}` });
  if (request.method === 'HEAD') response.end();
  else await pipeline(Readable.from(content.read(start, end)), response);
}

/** So many bytes of what is asked for, and the connection is gone. */
export function cutAfter(bytes: number, content: HeldContent): Fault {
  return (request, response) => {
    const [, first = '0', last = ''] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '') ?? [];
    const start = Number(first);
    if (last === '0') return false;
    const whole = { 'content-length': content.size - start, etag: content.etag };
    const range = { 'content-range': `bytes ${start}-${content.size - 1}/${content.size}` };
    response.writeHead(start > 0 ? 206 : 200, start > 0 ? { ...whole, ...range } : whole);
    response.write(Buffer.concat([...content.read(start, start + bytes)]), () => response.destroy());
    return true;
  };
}

export function status(code: number, headers: Readonly<Record<string, string>> = {}): Fault {
  return (_request, response) => {
    response.writeHead(code, headers).end();
    return true;
  };
}

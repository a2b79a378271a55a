import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { inPieces } from '../../../src/kit/in-pieces.ts';
import { askPlainly, unchunked } from '../../../src/kit/plain-answer.ts';
import { atFileEnd } from '../../support/file-end.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';

const folder = temporaryFolder('plain');
const head = 'HTTP/1.1 200 OK\r\nContent-Type: application/x-tar\r\nTransfer-Encoding: chunked\r\n\r\n';
let sockets = 0;

/** A server that does this with each connection once it was asked something; its socket. */
async function serving(answer: (socket: Socket) => void): Promise<string> {
  sockets += 1;
  const path = join(folder, `${sockets}.sock`);
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.once('data', () => answer(socket));
  });
  await once(server.listen(path), 'listening');
  atFileEnd(() => server.close());
  return path;
}

async function bodyOf(socketPath: string, signal = new AbortController().signal): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of unchunked(await askPlainly({ socketPath, path: '/x', signal })))
    parts.push(Buffer.from(part));
  return Buffer.concat(parts);
}

async function* of(...texts: string[]): AsyncGenerator<Buffer> {
  for (const text of texts) yield Buffer.from(text);
}

it('a body is what was sent, wherever the line cuts it', async () => {
  const text = '5\r\nhello\r\nA\r\n, all of y\r\n2\r\nou\r\n0\r\n\r\n';
  for (let at = 1; at < text.length; at += 1) {
    const parts: string[] = [];
    for await (const part of unchunked(of(text.slice(0, at), text.slice(at)))) parts.push(part.toString());

    expect(parts.join('')).toBe('hello, all of you');
  }
});

it.each([
  ['ends before its last chunk', '5\r\nhello\r\n'],
  ['ends within a chunk', '5\r\nhel'],
  ['is longer than its chunk says', '3\r\nhello\r\n0\r\n\r\n'],
  ['has a size that is none', 'no\r\nhello\r\n0\r\n\r\n'],
  ['has a size without an end', '0'.repeat(65)],
])('a body that %s is no body', async (_what, text) => {
  await expect(Array.fromAsync(unchunked(of(text)))).rejects.toThrow('cut');
});

it('an answer of many pieces comes whole over a socket, its headers by their names', async () => {
  const block = Buffer.alloc(300_000, 'abcdefg');
  const path = await serving((socket) => {
    socket.write(head.slice(0, 20));
    socket.write(head.slice(20));
    for (let count = 0; count < 20; count += 1) {
      socket.write(`${block.length.toString(16)}\r\n`);
      socket.write(block);
      socket.write('\r\n');
    }
    socket.end('0\r\n\r\n');
  });

  const answer = await askPlainly({ socketPath: path, path: '/x', signal: new AbortController().signal });
  const pieces = await Array.fromAsync(inPieces(unchunked(answer), () => Buffer.alloc(1_000_000)));

  expect(answer).toMatchObject({ status: 200, isChunked: true, headers: { 'content-type': 'application/x-tar' } });
  expect(pieces.map(({ length }) => length)).toEqual([...new Array(6).fill(1_000_000)]);
  expect(Buffer.concat(pieces).equals(Buffer.concat(new Array(20).fill(block)))).toBe(true);
});

it('an answer that breaks off fails, in its headers and behind them', async () => {
  const early = await serving((socket) => socket.end(head.slice(0, 30)));
  const late = await serving((socket) => socket.end(`${head}5\r\nhel`));
  const reset = await serving((socket) => {
    socket.write(`${head}5\r\nhel`, () => socket.destroy());
  });

  for (const path of [early, late, reset]) await expect(bodyOf(path)).rejects.toThrow();
});

it('another answer is told by its status', async () => {
  const path = await serving((socket) => socket.end('HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n'));

  const answer = await askPlainly({ socketPath: path, path: '/x', signal: new AbortController().signal });
  answer.destroy();

  expect(answer).toMatchObject({ status: 404, isChunked: false });
});

it.each([
  ['of a length that is said is read whole', 'Content-Length: 5', 'hello, and more', 'hello'],
  ['of none is read whole', 'Content-Length: 0', '', ''],
  ['that is longer than wanted is not', 'Content-Length: 9', 'hello you', undefined],
  ['without a length is not', 'Connection: close', 'hello', undefined],
])('a small body %s', async (_what, header, sent, body) => {
  const path = await serving((socket) => {
    socket.write(`HTTP/1.1 404 Not Found\r\n${header}\r\n\r\n${sent.slice(0, 2)}`);
    socket.end(sent.slice(2));
  });
  const answer = await askPlainly({ socketPath: path, path: '/x', signal: new AbortController().signal });

  expect((await answer.readWhole(8))?.toString()).toBe(body);
  answer.destroy();
});

it('a small body that is cut is none', async () => {
  const path = await serving((socket) => socket.end('HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\nhel'));
  const answer = await askPlainly({ socketPath: path, path: '/x', signal: new AbortController().signal });

  await expect(answer.readWhole(8)).rejects.toThrow('cut');
});

it('whoever gives up gets the reason, before the headers and behind them', async () => {
  for (const text of ['', `${head}5\r\nhel`]) {
    const asked = Promise.withResolvers<void>();
    const path = await serving((socket) => socket.write(text, () => asked.resolve()));
    const abort = new AbortController();
    const body = bodyOf(path, abort.signal);
    body.catch(() => undefined);
    await asked.promise;
    abort.abort(new Error('given up'));

    await expect(body).rejects.toThrow('given up');
  }
});

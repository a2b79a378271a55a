/** Answers as they go to a client on a real socket. */
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { describeFailure, sendPlain } from '../../../src/gate/answers.ts';
import type { PlainAnswer } from '../../../src/kit/plain-answer.ts';
import { atFileEnd } from '../../support/file-end.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';

const folder = temporaryFolder('answers');
let sockets = 0;

/** A large answer of these pieces on its way to a client. */
async function sending(pieces: () => Iterable<Buffer>) {
  sockets += 1;
  const path = join(folder, `${sockets}.sock`);
  const ending = new AbortController();
  const sent = Promise.withResolvers<void>();
  const closed = Promise.withResolvers<void>();
  const read = { isOver: false };
  async function* body() {
    try {
      yield* pieces();
    } finally {
      read.isOver = true;
    }
  }
  const answer = { status: 200, headers: {}, [Symbol.asyncIterator]: body } as unknown as PlainAnswer;
  const server = createServer((_request, response) => {
    response.once('close', closed.resolve);
    sendPlain(response, answer, ending.signal).then(sent.resolve, sent.reject);
  });
  await once(server.listen(path), 'listening');
  atFileEnd(() => server.close());
  const client = connect({ path, allowHalfOpen: true }).on('error', () => undefined);
  client.write('GET / HTTP/1.1\r\nHost: gate\r\n\r\n');
  return { client, ending, read, sent: sent.promise, closed: closed.promise };
}

function* withoutEnd(): Generator<Buffer> {
  for (;;) yield Buffer.alloc(2 ** 18, 'x');
}

async function begun(client: Socket): Promise<void> {
  await once(client, 'readable');
}

it('a large answer whose client leaves is no error, and is read no further', async () => {
  const { client, read, sent } = await sending(withoutEnd);
  await begun(client);

  client.destroy();

  expect(await sent).toBeUndefined();
  expect(read.isOver).toBe(true);
});

it('a large answer that nobody reads on ends with its signal', async () => {
  const { client, ending, read, sent, closed } = await sending(withoutEnd);
  await begun(client);

  ending.abort(new Error('a start'));

  expect(await sent).toBeUndefined();
  await closed;
  expect(read.isOver).toBe(true);
  client.destroy();
});

it('a large answer that is over ends the connection, also where its client stays', async () => {
  const { client, closed } = await sending(() => [Buffer.from('2\r\nok\r\n0\r\n\r\n')]);

  await closed;

  const all: Buffer[] = await client.toArray();
  expect(Buffer.concat(all).toString().split('\r\n\r\n')[1]).toBe('2\r\nok\r\n0');
  client.destroy();
});

it.each([
  ['where the gate can write nothing more', () => writeFileSync('/dev/full', 'x'), 507, 'disk.full'],
  ['of an error that is none of ours', () => writeFileSync(folder, 'x'), 500, 'internal'],
])('a failure is told by its code %s', (_, work, status, code) => {
  expect(() => {
    try {
      work();
    } catch (error) {
      throw describeFailure(error);
    }
  }).toThrow(expect.objectContaining({ status, body: expect.objectContaining({ code }) }));
});

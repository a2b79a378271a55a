/**
 * Exec streams after a protocol switch.
 *
 * Only one direction carries anything: policy gives no exec a standard input, so what a client sends after the switch
 * is read and dropped, and no byte of it reaches the engine. Its half-close is the usual "nothing more to type" and
 * must not end what the program still has to say; only the end of the program, or an error on either side, ends both.
 */
import { type IncomingMessage, STATUS_CODES } from 'node:http';
import { type Duplex, finished, type Readable, type Writable } from 'node:stream';
import type { UpgradedStream } from './upstream.ts';

export const rawStreamType = 'application/vnd.docker.raw-stream';

/** Resolves when both sides are closed. Never rejects: a broken stream is an ended one. */
export async function joinStreams(client: Duplex, answer: UpgradedStream | IncomingMessage): Promise<void> {
  if ('upgraded' in answer) {
    client.write(
      `HTTP/1.1 101 UPGRADED\r\nContent-Type: ${rawStreamType}\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n`,
    );
    client.write(answer.head);
    await pour(answer.upgraded, client);
    return;
  }
  client.write(rawHead(answer.statusCode ?? 502, answer.headers['content-type'] ?? 'application/json'));
  await pour(answer, client);
}

/**
 * Resolves when the client is gone or has all of it. What a program says that nobody listens to any more is read and dropped: an
 * engine takes one whose words do not arrive for one that has ended, and its exit code is never known.
 */
export function pourOrDrain(engine: Readable, client: Writable): Promise<void> {
  return new Promise((resolve) => {
    // A stream that broke off must not look like one that ended.
    finished(engine, { writable: false }, (error) => {
      if (error) client.destroy();
      engine.destroy();
    });
    finished(client, { readable: false }, () => {
      engine.unpipe(client);
      engine.resume();
      resolve();
    });
    engine.pipe(client);
  });
}

/** A whole answer on a socket that has no response object, and the end of the connection. */
export function endRaw(client: Duplex, status: number, body: unknown): void {
  client.end(`${rawHead(status, 'application/json')}${JSON.stringify(body)}`, () => client.destroy());
}

function rawHead(status: number, contentType: string): string {
  const reason = STATUS_CODES[status] ?? 'Unknown';
  return `HTTP/1.1 ${status} ${reason}\r\nContent-Type: ${contentType}\r\nConnection: close\r\n\r\n`;
}

function pour(engine: Readable, client: Duplex): Promise<void> {
  client.resume();
  engine.pipe(client);
  return new Promise((resolve) => {
    finished(engine, { writable: false }, (error) => {
      // A stream that broke off must not look like one that ended.
      if (error) client.destroy();
      engine.destroy();
    });
    finished(client, { readable: false }, () => {
      engine.destroy();
      client.destroy();
      resolve();
    });
  });
}

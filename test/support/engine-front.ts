/**
 * A socket before the engine's that can hold back one call: the request, which then never reaches the engine, or its
 * answer, when the engine has done what it was asked. It can also refuse a call in the engine's place.
 *
 * It works on bytes, so that upgraded streams pass. The gate sends each request in one piece and the next on the same
 * connection only after the answer.
 */
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';

export interface EngineFront {
  readonly socketPath: string;
  /** `METHOD path` of every request that was handed to the engine, in order. */
  readonly reached: readonly string[];
  /** How long the engine took until it began to answer, of every call that it answered, in order. */
  readonly answered: readonly { readonly call: string; readonly ms: number }[];
  /** Holds back the next call that matches. Resolves when it is held: it stays so until its connection ends. */
  hold(what: 'request' | 'answer', method: string, path: RegExp): Promise<void>;
  /** From now on refuses every call that matches, with what `words` make of the request, until `release`. */
  refuse(method: string, path: RegExp, words: (request: string) => string): void;
  /** From now on nothing more is held back or refused. */
  release(): void;
  close(): Promise<void>;
}

interface Hold {
  readonly what: 'request' | 'answer';
  readonly matches: (line: string) => boolean;
  readonly seen: () => void;
}

export async function startEngineFront(socketPath: string, engineSocket: string): Promise<EngineFront> {
  const reached: string[] = [];
  const answered: { call: string; ms: number }[] = [];
  const open = new Set<Socket>();
  let hold: Hold | undefined;
  let refusal: { readonly matches: Hold['matches']; readonly words: (request: string) => string } | undefined;
  const take = (what: Hold['what'], line: string): boolean => {
    const taken = hold?.what === what && hold.matches(line) ? hold : undefined;
    if (taken) {
      hold = undefined;
      taken.seen();
    }
    return taken !== undefined;
  };

  const server = createServer({ allowHalfOpen: true }, (socket) => {
    const upstream = connect({ path: engineSocket, allowHalfOpen: true });
    let line = '';
    let askedAt: number | undefined;
    let isDropped = false;
    socket.on('data', (chunk) => {
      const [, begun] = /^([A-Z]+ \S+) HTTP\/1\.1\r\n/.exec(chunk.toString('latin1')) ?? [];
      line = begun ?? line;
      isDropped ||= begun !== undefined && take('request', line);
      if (isDropped) {
        return;
      }
      if (begun !== undefined && refusal?.matches(line)) {
        socket.end(refusing(refusal.words(chunk.toString())));
        return;
      }
      if (begun !== undefined) {
        reached.push(line);
        askedAt = performance.now();
      }
      upstream.write(chunk);
    });
    upstream.on('data', (chunk) => {
      if (askedAt !== undefined) {
        answered.push({ call: line, ms: performance.now() - askedAt });
        askedAt = undefined;
      }
      if (take('answer', line)) {
        upstream.pause();
      } else {
        socket.write(chunk);
      }
    });
    join(socket, upstream);
  });
  server.listen(socketPath);
  await once(server, 'listening');

  /** The end of one is the end of the other. */
  function join(socket: Socket, upstream: Socket): void {
    for (const [one, other] of [
      [socket, upstream],
      [upstream, socket],
    ] as const) {
      open.add(one);
      one.on('end', () => other.end());
      one.on('error', () => other.destroy());
      one.on('close', () => {
        open.delete(one);
        other.destroy();
      });
    }
  }

  return {
    ...{ socketPath, reached, answered },
    hold: async (what, method, path) => {
      const { promise, resolve } = Promise.withResolvers<void>();
      hold = { what, matches: matching(method, path), seen: resolve };
      await promise;
    },
    refuse: (method, path, words) => {
      refusal = { matches: matching(method, path), words };
    },
    release: () => {
      hold = undefined;
      refusal = undefined;
    },
    close: async () => {
      for (const socket of open) {
        socket.destroy();
      }
      server.close();
      await once(server, 'close');
    },
  };
}

function matching(method: string, path: RegExp): Hold['matches'] {
  return (line) => {
    const [asked, target = ''] = line.split(' ');
    return asked === method && path.test(target);
  };
}

function refusing(message: string): string {
  const body = JSON.stringify({ message });
  const headers = `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close`;
  return `HTTP/1.1 500 Internal Server Error\r\n${headers}\r\n\r\n${body}`;
}

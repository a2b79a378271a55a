/**
 * The one way out of a job whose network is `allow_list`: a forward proxy that stands in the network of the job and in one that has a
 * way out.
 *
 *   container ──▶ proxy.ts ─▶ forward.ts, tunnel.ts ─▶ guard.ts (rules, then addresses) ─▶ dial.ts ──▶ the place
 *                                                         └─▶ anything else: 403 and a line in its log
 *
 * Whoever speaks with it is a stranger. It trusts nothing that it reads, keeps nothing of one connection for another, and needs no package.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { forward } from './forward.ts';
import { Guard, type GuardOptions } from './guard.ts';
import { Refusals } from './refusals.ts';
import { tunnel } from './tunnel.ts';
import { plainAnswer } from './words.ts';

interface ProxyLimits {
  /** Connections of the job at once. */
  readonly connections: number;
  /** How long nothing may come on a connection. */
  readonly idleMs: number;
  /** The same, once one side has ended. */
  readonly halfOpenMs: number;
  /** For the headers of a request. */
  readonly headersMs: number;
  /** For what a client says first in a tunnel. */
  readonly firstBytesMs: number;
}

export interface ProxyContext {
  readonly guard: Guard;
  readonly refusals: Refusals;
  readonly limits: ProxyLimits;
}

export interface ProxyOptions extends GuardOptions {
  readonly host: string;
  readonly port: number;
  readonly limits?: Partial<ProxyLimits>;
  /** A line of JSON for each refusal. */
  readonly write: (line: string) => void;
}

export interface Proxy {
  readonly port: number;
  /** Ends every connection. */
  close(): Promise<void>;
}

const usual: ProxyLimits = {
  ...{ connections: 512, idleMs: 600_000, halfOpenMs: 60_000, headersMs: 10_000, firstBytesMs: 10_000 },
};
const keptMs = 30_000;
const headerBytes = 16 * 1024;

/** Resolves when it listens. */
export async function startProxy(options: ProxyOptions): Promise<Proxy> {
  const limits = { ...usual, ...options.limits };
  const context: ProxyContext = { guard: new Guard(options), refusals: new Refusals(options.write), limits };
  const sockets = new Set<Socket>();
  const turns = new Turns();
  const server = createServer(
    {
      ...{ maxHeaderSize: headerBytes, headersTimeout: limits.headersMs, requestTimeout: 0, keepAliveTimeout: keptMs },
      ...{ connectionsCheckingInterval: Math.min(1000, limits.headersMs), insecureHTTPParser: false, noDelay: true },
      ...{ requireHostHeader: true },
    },
    (request, response) => turns.take(request, response, () => void forward(request, response, context)),
  );
  server.maxConnections = limits.connections;
  server.setTimeout(limits.idleMs);
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  server.on('connect', (request, socket, head) => {
    // What was asked before on the connection has not been answered: its answer would be taken for what comes out of the tunnel.
    if (turns.areLeft(socket as Socket)) socket.destroy();
    else void tunnel(request, socket as Socket, head, context);
  });
  server.on('clientError', (_error, socket) => {
    if (socket.writable) socket.end(plainAnswer(400, 'This is no request of HTTP/1.1.'));
    setTimeout(() => socket.destroy(), 1000).unref();
  });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once('error', reject);
  server.listen({ host: options.host, port: options.port }, resolve);
  await promise;
  const address = server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : options.port,
    close: async () => {
      const closed = new Promise((done) => server.close(done));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

/** Requests that come on one connection before the first of them is answered are carried out one after another. */
class Turns {
  readonly #last = new WeakMap<Socket, Promise<void>>();

  take({ socket }: IncomingMessage, response: ServerResponse, work: () => void): void {
    const before = this.#last.get(socket);
    const { promise, resolve } = Promise.withResolvers<void>();
    response.once('close', resolve);
    socket.once('close', resolve);
    this.#last.set(socket, promise);
    void promise.then(() => {
      socket.off('close', resolve);
      if (this.#last.get(socket) === promise) this.#last.delete(socket);
    });
    // After an answer that ends the connection nothing more is carried out on it.
    const begin = () => (socket.writable ? work() : resolve());
    if (before) void before.then(begin);
    else begin();
  }

  areLeft(socket: Socket): boolean {
    return this.#last.has(socket);
  }
}

/** A TCP proxy on loopback that does to connections what networks do to them, when a test says so. */

import type { AddressInfo } from 'node:net';
import { connect, createServer, type Socket } from 'node:net';

export interface FaultProxy {
  /** What clients dial. */
  readonly origin: string;
  /** When each connection was asked for, in milliseconds of the monotonic clock. */
  readonly dialled: number[];
  /** Connections that both ends believe in. */
  open(): number;
  /** Where new connections go from now on; undefined to refuse them. */
  target: number | undefined;
  /** Resets every connection: both ends learn of it at once. */
  cut(): void;
  /** Swallows what is sent on the present connections, either way: neither end learns of it. New ones are well. */
  blackhole(): void;
  /** Reads no more from clients, so that they are held back as by a slow reader; `release` lets it all through. */
  hold(): void;
  release(): void;
  close(): Promise<void>;
}

interface Pair {
  readonly client: Socket;
  readonly server: Socket;
}

export async function startFaultProxy(): Promise<FaultProxy> {
  const pairs = new Set<Pair>();
  const dialled: number[] = [];
  let held = false;

  const listener = createServer({ allowHalfOpen: true }, (client) => {
    dialled.push(performance.now());
    client.on('error', () => client.destroy());
    if (proxy.target === undefined) {
      client.resetAndDestroy();
      return;
    }
    const server = connect(proxy.target, '127.0.0.1');
    const pair = { client, server };
    pairs.add(pair);
    server.on('error', () => server.destroy());
    for (const socket of [client, server]) {
      socket.setNoDelay(true);
      socket.on('close', () => {
        pairs.delete(pair);
        client.destroy();
        server.destroy();
      });
    }
    client.pipe(server);
    server.pipe(client);
    if (held) client.unpipe(server).pause();
  });
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));

  const proxy: FaultProxy = {
    origin: `http://127.0.0.1:${(listener.address() as AddressInfo).port}`,
    dialled,
    open: () => pairs.size,
    target: undefined,
    cut: () => {
      for (const { client, server } of pairs) {
        client.resetAndDestroy();
        server.resetAndDestroy();
      }
    },
    blackhole: () => {
      for (const { client, server } of pairs) {
        client.unpipe(server).resume();
        server.unpipe(client).resume();
      }
    },
    hold: () => {
      held = true;
      for (const { client, server } of pairs) client.unpipe(server).pause();
    },
    release: () => {
      held = false;
      for (const { client, server } of pairs) client.pipe(server);
    },
    close: async () => {
      proxy.cut();
      await new Promise((resolve) => listener.close(resolve));
    },
  };
  return proxy;
}

/** A TCP proxy on the loopback address that a test cuts, stalls and mends: the network between two real processes. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

export interface CuttingProxy {
  readonly port: number;
  /** Where it leads; may change while it is there. */
  target: number;
  /** Ends every connection at once and refuses new ones, until `mend`. */
  cut(): void;
  /** Passes nothing on any more and says nothing about it, as a dead router does, until `mend`. */
  stall(): void;
  mend(): void;
  close(): Promise<void>;
}

export async function startCuttingProxy(target: number): Promise<CuttingProxy> {
  const pairs = new Set<readonly [Socket, Socket]>();
  let state: 'open' | 'cut' | 'stalled' = 'open';
  const server = createServer((socket) => {
    if (state === 'cut') {
      socket.destroy();
      return;
    }
    const behind = connect(proxy.target, '127.0.0.1');
    const pair = [socket, behind] as const;
    pairs.add(pair);
    for (const [from, to] of [pair, [behind, socket] as const]) {
      from.on('data', (chunk) => state === 'open' && to.write(chunk));
      from.on('error', () => to.destroy());
      from.on('close', () => {
        pairs.delete(pair);
        if (state === 'open') {
          to.destroy();
        }
      });
    }
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const end = () => {
    for (const [socket, behind] of pairs) {
      socket.destroy();
      behind.destroy();
    }
  };
  const proxy: CuttingProxy = {
    ...{ port: (server.address() as AddressInfo).port, target },
    cut: () => {
      state = 'cut';
      end();
    },
    stall: () => {
      state = 'stalled';
    },
    mend: () => {
      // What was stalled has lost bytes: it cannot go on.
      if (state === 'stalled') {
        end();
      }
      state = 'open';
    },
    close: async () => {
      end();
      server.close();
      await once(server, 'close');
    },
  };
  return proxy;
}

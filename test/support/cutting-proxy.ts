/** A TCP proxy on the loopback address that a test cuts, stalls, slows down and mends: the network between two real processes. */
import { once } from 'node:events';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

export interface CuttingProxy {
  readonly port: number;
  /** Where it leads; may change while it is there. */
  target: number;
  /** Ends every connection at once and refuses new ones, until `mend`; with a process only its own. */
  cut(pid?: number): void;
  /** Passes nothing on any more and says nothing about it, as a dead router does, until `mend`. */
  stall(): void;
  mend(): void;
  /** Passes no more answers to whoever has dialled for this path: what they send arrives, and they do not learn it. */
  deafen(path: string): void;
  /** From now on takes so many bytes a second from each of those who dial; undefined for as many as come. */
  throttle(bytesPerSecond: number | undefined): void;
  close(): Promise<void>;
}

export async function startCuttingProxy(target: number): Promise<CuttingProxy> {
  const pairs = new Set<readonly [Socket, Socket]>();
  let state: 'open' | 'cut' | 'stalled' = 'open';
  let cutOff: number | undefined;
  let rate: number | undefined;
  const askedFor = new Map<Socket, string | undefined>();
  const deaf = new WeakSet<Socket>();
  const slowed = new Map<Socket, NodeJS.Timeout>();
  const slowDown = (socket: Socket, bytes: number) => {
    if (rate === undefined) return;
    // What it does not take fills the buffers on the way, and then the sender has to wait.
    socket.pause();
    slowed.set(
      socket,
      setTimeout(
        () => {
          slowed.delete(socket);
          socket.resume();
        },
        (bytes / rate) * 1000,
      ),
    );
  };
  const isCutOff = (socket: Socket) => cutOff !== undefined && isOf(cutOff, socket.remotePort ?? 0);
  const server = createServer((socket) => {
    if (state === 'cut' || isCutOff(socket)) {
      socket.destroy();
      return;
    }
    const behind = connect(proxy.target, '127.0.0.1');
    const pair = [socket, behind] as const;
    pairs.add(pair);
    socket.on('data', (chunk) => slowDown(socket, chunk.length));
    socket.once('data', (chunk) => askedFor.set(socket, chunk.toString('latin1').split(' ')[1]));
    for (const [from, to] of [pair, [behind, socket] as const]) {
      from.on('data', (chunk) => {
        if (state !== 'open' || deaf.has(to) || to.write(chunk)) return;
        from.pause();
        to.once('drain', () => slowed.has(from) || from.resume());
      });
      from.on('error', () => to.destroy());
      from.on('close', () => {
        pairs.delete(pair);
        askedFor.delete(socket);
        clearTimeout(slowed.get(socket));
        slowed.delete(socket);
        if (state === 'open') {
          to.destroy();
        }
      });
    }
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const end = (which: (socket: Socket) => boolean = () => true) => {
    for (const [socket, behind] of pairs) {
      if (!which(socket)) continue;
      socket.destroy();
      behind.destroy();
    }
  };
  const proxy: CuttingProxy = {
    ...{ port: (server.address() as AddressInfo).port, target },
    cut: (pid) => {
      cutOff = pid;
      if (pid === undefined) state = 'cut';
      end(pid === undefined ? undefined : isCutOff);
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
      cutOff = undefined;
    },
    deafen: (path) => {
      for (const [socket, asked] of askedFor) if (asked === path) deaf.add(socket);
    },
    throttle: (bytesPerSecond) => {
      rate = bytesPerSecond;
      for (const [socket, timer] of slowed) {
        clearTimeout(timer);
        socket.resume();
      }
      slowed.clear();
    },
    close: async () => {
      proxy.throttle(undefined);
      end();
      server.close();
      await once(server, 'close');
    },
  };
  return proxy;
}

/** Whether the process has the socket of the loopback address with this port. */
function isOf(pid: number, port: number): boolean {
  const local = `0100007F:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  const rows = readFileSync('/proc/net/tcp', 'utf8').split('\n');
  const inode = rows.map((row) => row.trim().split(/\s+/)).find((row) => row[1] === local)?.[9];
  return readdirSync(`/proc/${pid}/fd`).some((name) => linkOf(`/proc/${pid}/fd/${name}`) === `socket:[${inode}]`);
}

/** A descriptor may be closed meanwhile. */
function linkOf(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}

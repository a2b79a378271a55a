/**
 * Bounds what strangers cost: connections on which nobody has proven yet who they are.
 *
 *   accepted ─▶ stranger ── a valid token, or the hello of a node ──▶ known, and not counted any more
 *
 * There is room for so many from one address, and for so many in all. With one more, the one that has stood there longest
 * has to go: who means it is known within a moment, and who only takes up room makes room. So many nodes behind one
 * address may come back together, and nobody who is known is ever sent away.
 */
import type { Server, Socket } from 'node:net';

export interface DoorLimits {
  /** Strangers of one address; of one /64 with IPv6, which is what one host gets. */
  readonly perAddress: number;
  readonly all: number;
}

export const defaultDoorLimits: DoorLimits = { perAddress: 256, all: 1024 };

/** As much of a socket as tells which connection it is; the same for the TLS that lies over it. */
type Ends = Pick<Socket, 'remoteAddress' | 'remotePort'>;

export class Door {
  readonly #limits: DoorLimits;
  /** In the order they came. */
  readonly #strangers = new Map<string, Socket>();
  readonly #ofAddress = new Map<string, Map<string, Socket>>();

  constructor(limits: DoorLimits = defaultDoorLimits) {
    this.#limits = limits;
  }

  /** Everybody who connects is a stranger first. */
  watch(server: Server): void {
    server.on('connection', (socket: Socket) => this.#came(socket));
  }

  isStranger(ends: Ends): boolean {
    return this.#strangers.has(nameOf(ends));
  }

  /** Somebody on this connection has proven who they are. */
  letIn(ends: Ends): void {
    const name = nameOf(ends);
    const socket = this.#strangers.get(name);
    if (socket) this.#forget(name, addressOf(ends), socket);
  }

  /** Sends all strangers away. */
  close(): void {
    for (const socket of this.#strangers.values()) socket.destroy();
  }

  #came(socket: Socket): void {
    const name = nameOf(socket);
    const address = addressOf(socket);
    const neighbours = this.#ofAddress.get(address) ?? new Map<string, Socket>();
    this.#strangers.set(name, socket);
    this.#ofAddress.set(address, neighbours.set(name, socket));
    socket.once('close', () => this.#forget(name, address, socket));
    if (neighbours.size > this.#limits.perAddress) this.#sendAway(neighbours);
    if (this.#strangers.size > this.#limits.all) this.#sendAway(this.#strangers);
  }

  #sendAway(strangers: ReadonlyMap<string, Socket>): void {
    const [eldest] = strangers;
    if (!eldest) return;
    const [name, socket] = eldest;
    this.#forget(name, addressOf(socket), socket);
    socket.destroy();
  }

  /** Unless the name is another connection's by now: its port may be taken again before the end of the last is told. */
  #forget(name: string, address: string, socket: Socket): void {
    if (this.#strangers.get(name) !== socket) return;
    this.#strangers.delete(name);
    const neighbours = this.#ofAddress.get(address);
    neighbours?.delete(name);
    if (neighbours?.size === 0) this.#ofAddress.delete(address);
  }
}

function nameOf({ remoteAddress, remotePort }: Ends): string {
  return `${remoteAddress} ${remotePort}`;
}

/** What counts as one address: an IPv4 address however it is written, or the first half of an IPv6 address. */
export function addressOf({ remoteAddress = '' }: Pick<Ends, 'remoteAddress'>): string {
  const [, mapped] = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(remoteAddress) ?? [];
  if (mapped !== undefined || !remoteAddress.includes(':')) return mapped ?? remoteAddress;
  const [head = '', tail] = remoteAddress.split('::');
  const groups = (text: string) => text.split(':').filter((group) => group !== '');
  const left = groups(head);
  const right = groups(tail ?? '');
  const zeros = Array.from({ length: Math.max(0, 8 - left.length - right.length) }, () => '0');
  return [...left, ...zeros, ...right].slice(0, 4).join(':');
}

/**
 * One agent's socket: whole messages in and out, and whether somebody still lives at the other end. It knows the grammar
 * of the session, not its meaning.
 *
 * Nothing here grows without bound, whatever the other side does: a frame over the limit is refused before it is read, a
 * side that does not read loses its connection, and `pause` stops reading where the rest of us is slow.
 */
import type { RawData, WebSocket } from 'ws';
import {
  type FromAgent,
  FromAgent as FromAgentSchema,
  type FromControlPlane,
} from '../../contract/session-messages.ts';
import { closeCodes, maxCloseReasonBytes } from '../../contract/signing.ts';
import { readStrictJson } from '../../contract/strict-json.ts';
import { judgeKnown } from '../../contract/validate.ts';
import type { Clock } from '../../kit/clock.ts';
import { cutUtf8 } from '../../kit/cut-utf8.ts';
import type { Log } from '../../kit/log.ts';

/** Messages that make no sense, before the session is given up (FAULTS 8). One of a stranger is enough. */
const toleratedFaults = 16;
/** Bytes that may wait for a side that does not read. A task takes up to 1 MiB. */
const maxUnread = 8 * 1024 * 1024;
/** Heartbeats that may be missing. */
const tolerated = 3;

const binaryFrame = { ok: false, errors: [{ path: '', code: 'binary', message: 'is a binary frame' }] } as const;

export interface ConnectionOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly heartbeatSeconds: number;
  /** RFC 3339. */
  readonly serverTime: () => string;
  onMessage(message: FromAgent): void;
  /** A message that no schema accepts, or that is said at the wrong time. */
  onFault(): void;
  /** Once. Nothing is received afterwards, and what is sent goes nowhere. */
  onClosed(code: number): void;
}

export class Connection {
  readonly #socket: WebSocket;
  readonly #options: ConnectionOptions;
  readonly #gone = new AbortController();
  #heardAt: number;
  #faults = 0;
  #trusted = false;

  constructor(socket: WebSocket, options: ConnectionOptions) {
    this.#socket = socket;
    this.#options = options;
    this.#heardAt = options.clock.monotonicMs();
    socket.on('message', (data, binary) => this.#receive(data, binary));
    socket.on('error', (err) => options.log.info({ err }, 'agent connection failed'));
    socket.on('close', (code) => {
      this.#gone.abort();
      options.onClosed(code);
    });
    void this.#watch();
  }

  /** Aborted when the connection is gone. */
  get gone(): AbortSignal {
    return this.#gone.signal;
  }

  /** When something last came from the other side, in milliseconds since 1970. */
  get heardAt(): number {
    const { clock } = this.#options;
    return clock.wallMs() - (clock.monotonicMs() - this.#heardAt);
  }

  /** True while what was sent is being read at the other end. */
  get keepsUp(): boolean {
    return this.#socket.bufferedAmount < maxUnread / 2;
  }

  /** The other side has proven who it is: from now on it may make mistakes. */
  trust(): void {
    this.#trusted = true;
  }

  send(message: FromControlPlane): void {
    if (this.#gone.signal.aborted || this.#socket.readyState !== this.#socket.OPEN) return;
    if (this.#socket.bufferedAmount > maxUnread) {
      this.#options.log.warn({ bytes: this.#socket.bufferedAmount }, 'agent does not read, connection dropped');
      this.#socket.terminate();
      return;
    }
    this.#socket.send(JSON.stringify(message));
  }

  /** Stops reading; the other side is held back by TCP and is not taken for dead meanwhile. */
  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#heardAt = this.#options.clock.monotonicMs();
    this.#socket.resume();
  }

  /** Counts something that made no sense; too much of it ends the session. */
  fault(reason: string): void {
    this.#faults += 1;
    this.#options.onFault();
    this.#options.log.warn({ reason: reason.slice(0, 500), count: this.#faults }, 'protocol error of an agent');
    if (!this.#trusted || this.#faults > toleratedFaults) this.close('protocolError', reason);
  }

  close(why: keyof typeof closeCodes, reason = ''): void {
    // The other side's own words may be in it, and a frame that closes has room for bytes, not for characters.
    this.#socket.close(closeCodes[why], cutUtf8(reason, maxCloseReasonBytes));
    // A side that does not answer the close must not keep the socket.
    void this.#options.clock.pause(5000, this.gone).then(
      () => this.#socket.terminate(),
      () => undefined,
    );
  }

  #receive(data: RawData, binary: boolean): void {
    this.#heardAt = this.#options.clock.monotonicMs();
    if (this.#socket.readyState !== this.#socket.OPEN) return;
    const read = binary ? binaryFrame : readStrictJson(data as Buffer);
    const judged = read.ok ? judgeKnown(FromAgentSchema, read.value) : read;
    if (judged.ok) this.#options.onMessage(judged.value);
    else this.fault(judged.errors.map(({ path, message }) => `${path} ${message}`.trim()).join('; '));
  }

  /** Says that we live, and notices where the other side does not (FAULTS 3). */
  async #watch(): Promise<void> {
    const { clock, heartbeatSeconds, serverTime, log } = this.#options;
    const interval = heartbeatSeconds * 1000;
    while (
      await clock.pause(interval, this.gone).then(
        () => true,
        () => false,
      )
    ) {
      const silent = clock.monotonicMs() - this.#heardAt;
      if (silent > tolerated * interval && !this.#socket.isPaused) {
        log.warn({ duration_ms: Math.round(silent) }, 'agent is silent, connection dropped');
        this.#socket.terminate();
        return;
      }
      if (this.#trusted) this.send({ type: 'heartbeat', server_time: serverTime() });
    }
  }
}

/**
 * One socket to the control plane: whole messages in and out, each judged by its schema. It knows the grammar of the
 * session, not its meaning.
 *
 * Messages are handed over one at a time, in order; while too many wait, nothing is read, and TCP holds the other side back.
 */
import type { Duplex } from 'node:stream';
import type { RawData, WebSocket } from 'ws';
import { type FromAgent, FromControlPlane } from '../../contract/session-messages.ts';
import { maxCloseReasonBytes, maxFrameBytes, sessionPath, sessionSubprotocol } from '../../contract/signing.ts';
import { readStrictJson } from '../../contract/strict-json.ts';
import { optionsByTag } from '../../contract/tagged-union.ts';
import { judgeKnown } from '../../contract/validate.ts';
import { isCertificateTrouble } from '../../kit/certificate-trouble.ts';
import { cutUtf8 } from '../../kit/cut-utf8.ts';
import type { ControlPlaneOrigin } from '../control-plane/origin.ts';
import type { Ending } from './reconnect.ts';

export interface SocketHandlers {
  /** Something arrived, whatever it is. */
  onSign(): void;
  onMessage(message: FromControlPlane): Promise<void> | void;
  /** What arrived is no message of the control plane. */
  onFault(reason: string): void;
  /** A handler failed. */
  onError(error: unknown): void;
  /** Once. */
  onEnd(ending: Omit<Ending, 'stoodMs'>): void;
}

const handshakeTimeoutMs = 10_000;
/** Bytes that may wait for a control plane that does not read; records and logs in flight are a part of it. */
const maxUnread = 8 * 1024 * 1024;
/** Messages that may wait for those before them. */
const maxWaiting = 32;

const byType = optionsByTag('type', FromControlPlane);

export class AgentSocket {
  readonly #socket: WebSocket;
  readonly #handlers: SocketHandlers;
  #tail: Promise<void> = Promise.resolve();
  #waiting = 0;
  #retryAfter: number | undefined;
  #failure: string | undefined;
  #answered = false;
  /** What it runs over, once it is open. */
  #stream: Duplex | undefined;

  private constructor(socket: WebSocket, handlers: SocketHandlers) {
    this.#socket = socket;
    this.#handlers = handlers;
    socket.on('message', (data, binary) => this.#receive(data, binary));
    socket.on('error', (error) => {
      this.#failure ??= error.message;
      this.#answered ||= isCertificateTrouble(error);
    });
    socket.on('upgrade', (response) => {
      this.#answered = true;
      this.#stream = response.socket;
    });
    socket.on('unexpected-response', (_request, { statusCode, headers }) => {
      const seconds = Number(headers['retry-after']);
      this.#retryAfter = seconds > 0 ? seconds : undefined;
      this.#failure = `it answered with status ${statusCode}`;
      this.#answered = (statusCode ?? 0) < 500;
      socket.terminate();
    });
    socket.on('close', (code, reason) => {
      const said = [this.#failure, reason.toString()].filter(Boolean).join('; ');
      const why = said || `closed with ${code}`;
      handlers.onEnd({ code, reason: why, answered: this.#answered, retryAfterSeconds: this.#retryAfter });
    });
  }

  /** Begins to dial. How it goes is told by the handlers. */
  static async dial(origin: ControlPlaneOrigin, handlers: SocketHandlers): Promise<AgentSocket> {
    const { WebSocket } = await import('ws');
    const url = origin.audience.replace(/^http/, 'ws') + sessionPath;
    const socket = new WebSocket(url, [sessionSubprotocol], {
      ...{ maxPayload: maxFrameBytes, perMessageDeflate: false, followRedirects: false },
      ...{ handshakeTimeout: handshakeTimeoutMs, ...origin.tlsOptions() },
    });
    return new AgentSocket(socket, handlers);
  }

  /** False while messages wait and nothing is read: then silence means nothing. */
  get listens(): boolean {
    return !this.#socket.isPaused;
  }

  /** What is sent meanwhile leaves together, so that the other side is woken once. */
  together(work: () => void): void {
    this.#stream?.cork();
    try {
      work();
    } finally {
      this.#stream?.uncork();
    }
  }

  /** Resolves when it has left the process: true if it went out, false if the connection is gone. */
  async send(message: FromAgent): Promise<boolean> {
    return await this.sendText(JSON.stringify(message));
  }

  async sendText(text: string): Promise<boolean> {
    if (this.#socket.readyState !== this.#socket.OPEN) {
      return false;
    }
    if (this.#socket.bufferedAmount > maxUnread) {
      this.drop('the control plane asks and does not read');
      return false;
    }
    const { promise, resolve } = Promise.withResolvers<boolean>();
    this.#socket.send(text, (error) => resolve(!error));
    return await promise;
  }

  close(code: number, reason: string): void {
    this.#socket.close(code, cutUtf8(reason, maxCloseReasonBytes));
  }

  /** For a peer that does not answer any more. */
  drop(reason: string): void {
    this.#failure ??= reason;
    this.#socket.terminate();
  }

  #receive(data: RawData, binary: boolean): void {
    this.#handlers.onSign();
    const message = binary ? undefined : messageOf(data as Buffer);
    if (typeof message !== 'object') {
      this.#handlers.onFault(message ?? 'a binary frame');
      return;
    }
    this.#waiting += 1;
    if (this.#waiting === maxWaiting) {
      this.#socket.pause();
    }
    this.#tail = this.#tail.then(() => this.#handle(message));
  }

  async #handle(message: FromControlPlane): Promise<void> {
    try {
      await this.#handlers.onMessage(message);
    } catch (error) {
      this.#handlers.onError(error);
    } finally {
      this.#waiting -= 1;
      if (this.#socket.isPaused && this.#waiting < maxWaiting / 2) {
        this.#socket.resume();
      }
    }
  }
}

/** The message, or what is wrong with it. Only the schema of its type is compiled: most are never needed. */
function messageOf(bytes: Buffer): FromControlPlane | string {
  const read = readStrictJson(bytes);
  const type = read.ok ? (read.value as { type?: unknown } | null)?.type : undefined;
  const judged = read.ok ? judgeKnown(byType.get(type) ?? FromControlPlane, read.value) : read;
  return judged.ok
    ? (judged.value as FromControlPlane)
    : judged.errors.map(({ path, message }) => `${path} ${message}`.trim()).join('; ');
}

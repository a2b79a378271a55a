/** The log streams of one connection: what is sent for a stream that is closed goes nowhere, and all close with it. */
import type { LogsChunk, LogsEnd, LogsGap, LogsOpen } from '../../contract/session-messages.ts';
import type { LogRequests } from './session.ts';

type LogMessage = LogsChunk | LogsGap | LogsEnd;

export class LogRelay {
  readonly #logs: LogRequests;
  readonly #send: (message: LogMessage) => Promise<boolean>;
  /** Each opening is one of its own: what an earlier one of the same name still sends must not reach the reader. */
  readonly #open = new Map<string, symbol>();

  constructor(logs: LogRequests, send: (message: LogMessage) => Promise<boolean>) {
    this.#logs = logs;
    this.#send = send;
  }

  /** False if the stream is open already. */
  open(request: LogsOpen): boolean {
    const { stream } = request;
    if (this.#open.has(stream)) {
      return false;
    }
    const opening = Symbol(stream);
    this.#open.set(stream, opening);
    this.#logs.open(request, { send: (message) => this.#pass(opening, { ...message, stream }) });
    return true;
  }

  /** For a stream that has ended meanwhile it comes too late, and that is nobody's fault. */
  credit(stream: string, bytes: number): void {
    if (this.#open.has(stream)) {
      this.#logs.credit(stream, bytes);
    }
  }

  close(stream: string): void {
    if (this.#open.delete(stream)) {
      this.#logs.close(stream);
    }
  }

  closeAll(): void {
    for (const stream of [...this.#open.keys()]) {
      this.close(stream);
    }
  }

  async #pass(opening: symbol, message: LogMessage): Promise<boolean> {
    if (this.#open.get(message.stream) !== opening) {
      return false;
    }
    if (message.type === 'logs_end') {
      this.#open.delete(message.stream);
    }
    return await this.#send(message);
  }
}

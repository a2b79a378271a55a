/**
 * How every call to the engine is made: with a deadline of its own, under the caller's signal, and with one kind of
 * error.
 *
 *   the caller's signal is aborted   its reason
 *   no answer in time                engine.timed_out
 *   nobody there, connection lost    engine.unavailable
 *   the gate refuses                 the gate's code and detail
 *   the engine refuses               what `engine-words.ts` reads out of its message, else engine.failed
 *
 * The signal wins over everything: a call that was given up never reports the engine's view of that.
 */
import type Dockerode from 'dockerode';
import { AgentError } from '../../contract/failures.ts';
import { parseAnswer, toAgentError } from './call-errors.ts';
import { loadDockerode } from './load-dockerode.ts';
import { type Body, Transport } from './transport.ts';

/** Milliseconds. */
export interface EngineTimeouts {
  /** Calls that only look: inspect, list, info, the creation of an exec; also until the headers of a stream. */
  readonly lookMs: number;
  /** Calls that change something: create, start, remove, networks, secrets. */
  readonly changeMs: number;
  /** What a stop may take beyond its grace. */
  readonly stopSlackMs: number;
  /** A stream that should flow and does not move: a pull, the logs that are there. */
  readonly stallMs: number;
  /** How long the engine may be away while a command runs in a container, before its exec is given up. */
  readonly execOutageMs: number;
}

export const usualTimeouts: EngineTimeouts = {
  lookMs: 15_000,
  changeMs: 90_000,
  stopSlackMs: 30_000,
  stallMs: 90_000,
  execOutageMs: 60_000,
};

export interface CallOptions {
  /** For people: `inspect`, `start`, … */
  readonly call: string;
  readonly timeoutMs: number;
  /** The caller's. */
  readonly signal: AbortSignal;
  /** The container that the call is about: what is missing then is `container.not_found`. */
  readonly container?: string | undefined;
}

export class Calls {
  readonly transport: Transport;
  readonly timeouts: EngineTimeouts;
  #docker: Promise<Dockerode> | undefined;

  constructor(socketPath: string, timeouts: Partial<EngineTimeouts>) {
    this.transport = new Transport(socketPath);
    this.timeouts = { ...usualTimeouts, ...timeouts };
  }

  /** Runs one call to its end. `work` must hand the signal it gets to whatever it waits for. */
  async run<T>(options: CallOptions, work: (docker: Dockerode, signal: AbortSignal) => Promise<T>): Promise<T> {
    const watch = watchCall(options);
    try {
      watch.signal.throwIfAborted();
      return await work(await this.docker(), watch.signal);
    } catch (error) {
      watch.signal.throwIfAborted();
      throw toAgentError(error, this.transport.socketPath, options);
    } finally {
      watch.end();
    }
  }

  /** Opens a stream; its headers must come within the deadline of the call. */
  async open(
    options: CallOptions,
    work: (docker: Dockerode, signal: AbortSignal) => Promise<unknown>,
  ): Promise<EngineStream> {
    const watch = watchCall(options);
    try {
      watch.signal.throwIfAborted();
      const answer = (await work(await this.docker(), watch.signal)) as Body;
      watch.stopClock();
      return new EngineStream(answer, watch, options, this.transport.socketPath);
    } catch (error) {
      watch.end();
      watch.signal.throwIfAborted();
      throw toAgentError(error, this.transport.socketPath, options);
    }
  }

  /** Loaded with the first call: a command that asks the engine nothing does not pay for it. */
  docker(): Promise<Dockerode> {
    this.#docker ??= loadDockerode(this.transport);
    return this.#docker;
  }
}

/** The body of an answer, read at the pace of its reader. Leaving the loop early closes the connection. */
export class EngineStream {
  readonly #answer: Body;
  readonly #watch: CallWatch;
  readonly #options: CallOptions;
  readonly #socketPath: string;

  constructor(answer: Body, watch: CallWatch, options: CallOptions, socketPath: string) {
    this.#answer = answer;
    this.#watch = watch;
    this.#options = options;
    this.#socketPath = socketPath;
  }

  /** Throws like any call. With `stallMs`, also `engine.timed_out` when no piece comes for that long. */
  async *chunks(stallMs?: number): AsyncGenerator<Buffer, void, undefined> {
    const parts = this.#answer[Symbol.asyncIterator]();
    try {
      for (;;) {
        // Only the wait is measured: a slow reader is no stall.
        this.#watch.startClock(stallMs);
        const part = await parts.next();
        this.#watch.stopClock();
        if (part.done) {
          return;
        }
        yield part.value;
      }
    } catch (error) {
      this.#watch.signal.throwIfAborted();
      throw toAgentError(error, this.#socketPath, this.#options);
    } finally {
      this.close();
    }
  }

  /** The whole body, for an answer that comes late and is small. */
  async json(): Promise<unknown> {
    const parts: Buffer[] = [];
    for await (const part of this.chunks()) {
      parts.push(part);
    }
    return parseAnswer(Buffer.concat(parts).toString(), this.#options.call);
  }

  close(): void {
    this.#answer.destroy();
    this.#watch.end();
  }
}

interface CallWatch {
  /** Aborted by the caller's signal with its reason, or by the clock with `engine.timed_out`. */
  readonly signal: AbortSignal;
  /** Undefined or Infinity: no limit. */
  startClock(ms: number | undefined): void;
  stopClock(): void;
  end(): void;
}

function watchCall({ call, timeoutMs, signal, container }: CallOptions): CallWatch {
  const abort = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const forward = () => abort.abort(signal.reason);
  if (signal.aborted) {
    forward();
  }
  signal.addEventListener('abort', forward, { once: true });

  function stopClock(): void {
    clearTimeout(timer);
  }
  function startClock(ms: number | undefined): void {
    stopClock();
    if (ms !== undefined && Number.isFinite(ms)) {
      const detail = { call, timeout_ms: ms, ...(container === undefined ? {} : { container }) };
      timer = setTimeout(() => abort.abort(new AgentError('engine.timed_out', detail)), ms);
    }
  }
  startClock(timeoutMs);
  return {
    signal: abort.signal,
    startClock,
    stopClock,
    end: () => {
      stopClock();
      signal.removeEventListener('abort', forward);
    },
  };
}

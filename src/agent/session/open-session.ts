/**
 * The session on WebSockets: one connection after another, for as long as the agent lives.
 */
import { readBootId } from '../../host/boot-id.ts';
import { type Clock, systemClock } from '../../kit/clock.ts';
import type { Log } from '../../kit/log.ts';
import type { ControlPlaneOrigin } from '../control-plane/origin.ts';
import { epochFile } from '../identity/epoch-file.ts';
import { type NodeRecord, readNode, type TrustedTaskKey, writeNode } from '../identity/node-record.ts';
import type { Journal } from '../journal/journal.ts';
import { Connection } from './connection.ts';
import { type Ending, retryAfter } from './reconnect.ts';
import { ServerClock } from './server-clock.ts';
import type { Session, SessionCounts, SessionHandlers, SessionState } from './session.ts';
import type { SessionParts } from './session-parts.ts';
import { TaskTrust } from './task-trust.ts';

export interface SessionOptions {
  readonly stateDir: string;
  readonly origin: ControlPlaneOrigin;
  readonly node: NodeRecord;
  readonly agentVersion: string;
  readonly journal: Journal;
  readonly handlers: SessionHandlers;
  readonly log: Log;
  readonly clock?: Clock;
  readonly random?: () => number;
  /** Changes with every boot of the host. Default: the kernel's own. */
  readonly bootId?: string;
}

/** A session that dials once `start` is called. */
export function openSession(options: SessionOptions): Session {
  return new WebSocketSession(options);
}

class WebSocketSession implements Session {
  readonly #parts: SessionParts;
  readonly #random: () => number;
  readonly #serverClock: ServerClock;
  readonly #stop = new AbortController();
  #state: SessionState = { kind: 'closed' };
  #connection: Connection | undefined;
  #bearer: string | undefined;
  #counts = { connections: 0, protocolErrors: 0 };
  #running: Promise<void> | undefined;

  constructor({ random = Math.random, clock = systemClock, bootId = readBootId(), ...options }: SessionOptions) {
    this.#random = random;
    this.#serverClock = new ServerClock(clock);
    this.#parts = {
      ...options,
      ...{ clock, bootId, serverClock: this.#serverClock },
      epochs: epochFile(options.stateDir),
      trust: new TaskTrust(options.node.task_keys),
      keepTaskKeys: (keys) => keepTaskKeys(options, keys),
      onFault: () => {
        this.#counts.protocolErrors += 1;
      },
    };
  }

  get state(): SessionState {
    return this.#state;
  }

  get counts(): SessionCounts {
    return { ...this.#counts };
  }

  start(): void {
    this.#running ??= this.#run();
  }

  pull(): void {
    this.#connection?.pull();
  }

  serverNow(): number | undefined {
    return this.#serverClock.now();
  }

  bearer(): string | undefined {
    return this.#bearer;
  }

  async close(): Promise<void> {
    this.#stop.abort();
    this.#connection?.close();
    await this.#running;
    this.#enter({ kind: 'closed' });
  }

  async #run(): Promise<void> {
    const { clock, log } = this.#parts;
    let attempt = 0;
    let away: { unreachable?: true } = {};
    while (!this.#stop.signal.aborted) {
      this.#enter({ kind: 'connecting', attempt: attempt + 1, ...away });
      const ending = await this.#connect();
      if (this.#stop.signal.aborted) {
        return;
      }
      const retry = retryAfter(ending, attempt, this.#random);
      attempt = retry.attempt;
      const { delayMs, trouble } = retry;
      away = ending.answered === false ? { unreachable: true } : {};
      const waiting = { kind: 'waiting', delay_ms: delayMs, reason: ending.reason, ...away } as const;
      log.warn({ attempt, delay_ms: delayMs, reason: ending.reason, code: trouble }, 'no session, will dial again');
      this.#enter(trouble ? { ...waiting, trouble } : waiting);
      await clock.pause(delayMs, this.#stop.signal).catch(() => undefined);
    }
  }

  async #connect(): Promise<Ending> {
    const connection = new Connection(this.#parts, {
      onWelcome: ({ epoch, bearer }) => {
        this.#bearer = bearer;
        this.#counts.connections += 1;
        this.#parts.log.info({ epoch }, 'session stands');
        this.#enter({ kind: 'connected', epoch });
      },
    });
    this.#connection = connection;
    try {
      return await connection.run();
    } catch (error) {
      // Nothing of the network comes here: a CA that cannot be read, a package that cannot be loaded.
      this.#parts.log.error({ err: error }, 'dialling failed');
      return { code: undefined, reason: (error as Error).message, stoodMs: 0 };
    } finally {
      this.#connection = undefined;
      this.#bearer = undefined;
    }
  }

  #enter(state: SessionState): void {
    this.#state = state;
    this.#parts.handlers.onState(state);
  }
}

function keepTaskKeys({ stateDir, node }: SessionOptions, keys: readonly TrustedTaskKey[]): void {
  // Read anew: a rotation of the node's own keys may have written it since.
  writeNode(stateDir, { ...(readNode(stateDir) ?? node), task_keys: [...keys] });
}

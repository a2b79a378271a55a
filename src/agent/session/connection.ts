/**
 * One connection to the control plane, from the first byte to the last.
 *
 *   dialled ── challenge ──▶ hello sent ── welcome ──▶ confirmed: tasks, records, logs, heartbeats ──▶ ended
 *
 * What is said at the wrong time, or by no schema, is a protocol error: counted and passed over, until there are too many.
 */
import { AgentError } from '../../contract/failures.ts';
import { protocolVersion } from '../../contract/protocol.ts';
import type { Challenge, FromControlPlane, Welcome } from '../../contract/session-messages.ts';
import { closeCodes, helloText } from '../../contract/signing.ts';
import { taskSchemas, taskTypes } from '../../contract/tasks.ts';
import { openIdentityKey } from '../identity/identity-key.ts';
import { Credits } from './credits.ts';
import { Heartbeat } from './heartbeat.ts';
import { LogRelay } from './log-relay.ts';
import { receiveTask } from './receive-task.ts';
import type { Ending } from './reconnect.ts';
import { RecordPump } from './record-pump.ts';
import type { SessionParts } from './session-parts.ts';
import { AgentSocket } from './socket.ts';

/** From the first dial to the welcome. */
const welcomeWithinMs = 10_000;
/** Protocol errors before the connection is given up (FAULTS 8). */
const toleratedFaults = 16;

export interface ConnectionEvents {
  /** The session stands: its epoch is on the disk. */
  onWelcome(welcome: Welcome): void;
}

type Stage = 'dialled' | 'hello sent' | 'confirmed' | 'ended';

export class Connection {
  readonly #parts: SessionParts;
  readonly #events: ConnectionEvents;
  readonly #ended = Promise.withResolvers<Ending>();
  readonly #gone = new AbortController();
  readonly #pump: RecordPump;
  readonly #logs: LogRelay;
  readonly #credits = new Credits((pull) => this.#send({ type: 'pull', ...pull }));
  #socket: AgentSocket | undefined;
  #heartbeat: Heartbeat | undefined;
  #stage: Stage = 'dialled';
  #faults = 0;
  /** True while a task that has arrived is not among those at hand yet: its place is not taken, but its credit is. */
  #receiving = false;
  #closing = false;
  #stoodSince: number | undefined;
  #retryAfter: number | undefined;

  constructor(parts: SessionParts, events: ConnectionEvents) {
    this.#parts = parts;
    this.#events = events;
    this.#logs = new LogRelay(parts.handlers.logs, async (message) => (await this.#socket?.send(message)) ?? false);
    this.#pump = new RecordPump({
      ...{ journal: parts.journal, clock: parts.clock },
      // Written down by this host's clock, which may be wrong.
      send: (record) => this.#sendText(JSON.stringify({ ...record, at: parts.serverClock.timeOf(record.at) })),
      together: (work) => this.#socket?.together(work),
      onFailure: (error) => this.#giveUp(error),
    });
  }

  /** Runs it to its end, which is never an error. */
  async run(): Promise<Ending> {
    const { origin, clock } = this.#parts;
    this.#socket = await AgentSocket.dial(origin, {
      onSign: () => this.#heartbeat?.heard(),
      onMessage: (message) => this.#take(message),
      onFault: (reason) => this.#fault(reason),
      onError: (error) => this.#giveUp(error),
      onEnd: (ending) => this.#end(ending),
    });
    if (this.#closing) {
      this.close();
    }
    void clock.pause(welcomeWithinMs, this.#gone.signal).then(
      () => this.#stage !== 'confirmed' && this.#socket?.drop('no welcome in time'),
      () => undefined,
    );
    return await this.#ended.promise;
  }

  /** Says how many tasks may be sent, where the control plane believes otherwise. */
  pull(): void {
    if (this.#stage === 'confirmed' && !this.#receiving) {
      this.#credits.announce(this.#parts.handlers.credits());
    }
  }

  close(): void {
    this.#closing = true;
    this.#socket?.close(1000, 'the agent stops');
    // A control plane that does not answer the close must not keep the agent.
    void this.#parts.clock.pause(1000, this.#gone.signal).then(
      () => this.#socket?.drop('the agent stops'),
      () => undefined,
    );
  }

  #end(ending: Omit<Ending, 'stoodMs'>): void {
    this.#stage = 'ended';
    this.#gone.abort();
    this.#logs.closeAll();
    this.#pump.stop();
    const stoodMs = this.#stoodSince === undefined ? 0 : this.#parts.clock.monotonicMs() - this.#stoodSince;
    const retryAfterSeconds = this.#retryAfter ?? ending.retryAfterSeconds;
    this.#ended.resolve({ ...ending, stoodMs, retryAfterSeconds });
  }

  #take(message: FromControlPlane): Promise<void> | void {
    if (message.type === 'retry_after') {
      this.#retryAfter = message.seconds;
      return;
    }
    if (this.#stage === 'confirmed') {
      return this.#act(message);
    }
    if (this.#stage === 'dialled' && message.type === 'challenge') {
      return this.#answer(message);
    }
    if (this.#stage === 'hello sent' && message.type === 'welcome') {
      return this.#confirm(message);
    }
    if (this.#stage !== 'ended') {
      this.#fault(`${message.type} when ${this.#stage}`);
    }
  }

  #answer({ nonce, audience, server_time }: Challenge): void {
    const { origin, node, stateDir, epochs, bootId, agentVersion, serverClock } = this.#parts;
    if (audience !== origin.audience) {
      // Somebody passes our words on to another control plane, or the operator dials one by a name it does not know.
      const reason = `${origin.audience} believes to be ${audience}.`;
      throw new AgentError('control_plane.untrusted', { reason, expected: origin.audience, actual: audience });
    }
    serverClock.set(server_time);
    const facts = { nonce, audience, node_id: node.node_id, epoch: epochs.read(), boot_id: bootId };
    this.#stage = 'hello sent';
    this.#send({
      type: 'hello',
      ...{ node_id: node.node_id, boot_id: bootId, agent_version: agentVersion, protocol: protocolVersion },
      ...{ epoch: facts.epoch, task_types: taskTypes.map((type) => ({ type, version: taskSchemas[type].version })) },
      signature: openIdentityKey(stateDir).sign(helloText(facts)),
    });
  }

  async #confirm(welcome: Welcome): Promise<void> {
    const { epochs, serverClock, trust, keepTaskKeys, journal, clock, log } = this.#parts;
    if (welcome.epoch <= epochs.read()) {
      throw new AgentError('control_plane.untrusted', { reason: 'It offers an epoch that was there before.' });
    }
    serverClock.set(welcome.server_time);
    if (welcome.rotations.length > 0 && (await trust.follow(welcome.rotations))) {
      keepTaskKeys(trust.keys);
      log.info({ count: trust.keys.length }, 'task key handed on');
    }
    if (this.#gone.signal.aborted) {
      return;
    }
    epochs.write(welcome.epoch);
    journal.resume(welcome.acked);
    this.#stage = 'confirmed';
    this.#stoodSince = clock.monotonicMs();
    this.#send({ type: 'confirm', epoch: welcome.epoch });
    this.#heartbeat = new Heartbeat({
      ...{ clock, intervalMs: welcome.heartbeat_seconds * 1000, signal: this.#gone.signal },
      beat: () => this.#send({ type: 'heartbeat' }),
      listens: () => this.#socket?.listens ?? false,
      onSilence: () => this.#socket?.drop('the control plane is silent'),
    });
    this.#pump.start();
    this.#events.onWelcome(welcome);
    this.pull();
    void trust.warmUp().catch((error) => this.#giveUp(error));
  }

  #act(message: FromControlPlane): Promise<void> | void {
    const { handlers, serverClock } = this.#parts;
    switch (message.type) {
      case 'heartbeat':
        serverClock.set(message.server_time ?? '');
        return;
      case 'task':
        return this.#receive(message);
      case 'task_cancel':
        handlers.onCancel(message.task_id);
        return;
      case 'ack':
        if (!this.#pump.acknowledge(message.journal_id, message.seq)) {
          this.#fault('an ack of what was never sent');
        }
        return;
      case 'logs_open':
        if (!this.#logs.open(message)) {
          this.#fault('a log stream that is open already');
        }
        return;
      case 'logs_credit':
        this.#logs.credit(message.stream, message.bytes);
        return;
      case 'logs_close':
        this.#logs.close(message.stream);
        return;
      default:
        this.#fault(`a second ${message.type}`);
    }
  }

  async #receive({ lease_id, jws }: { lease_id: string; jws: string }): Promise<void> {
    const { trust, node, serverClock, handlers, log } = this.#parts;
    if (!this.#credits.use()) {
      this.#fault('a task beyond the credits');
      return;
    }
    this.#receiving = true;
    try {
      const task = await receiveTask(jws, trust, node.node_id, serverClock.now() ?? Number.NaN);
      const answer = await handlers.onTask(task);
      const { task_id } = task;
      if (answer.accepted) this.#send({ type: 'task_accepted', lease_id, task_id });
      else this.#send({ type: 'task_refused', lease_id, failure: answer.failure });
    } catch (error) {
      const failure = error instanceof AgentError ? error : new AgentError('internal', {}, { cause: error });
      log.warn({ code: failure.code, err: error }, 'task refused');
      this.#send({ type: 'task_refused', lease_id, failure: failure.toFailure() });
    } finally {
      this.#receiving = false;
    }
    // One that was refused, or known already, has used a credit up over there and none here.
    this.pull();
  }

  #fault(reason: string): void {
    this.#faults += 1;
    this.#parts.onFault();
    this.#parts.log.warn({ reason: reason.slice(0, 500), count: this.#faults }, 'protocol error of the control plane');
    if (this.#faults > toleratedFaults) {
      this.#socket?.close(closeCodes.protocolError, 'too many protocol errors');
    }
  }

  /** What was not kept must not be confirmed: the connection ends, and another one begins where this one was. */
  #giveUp(error: unknown): void {
    const code = error instanceof AgentError ? error.code : 'internal';
    this.#parts.log.error({ code, err: error }, 'connection given up');
    this.#socket?.drop(error instanceof Error ? error.message : String(error));
  }

  #send(message: Parameters<AgentSocket['send']>[0]): void {
    this.#sendText(JSON.stringify(message));
  }

  #sendText(text: string): number {
    void this.#socket?.sendText(text);
    return Buffer.byteLength(text);
  }
}

/**
 * Where nodes come in: one WebSocket each, dialled by the host. Trust goes one way: a node proves who it is, and nothing it
 * says is believed beyond what it may say about itself.
 *
 *   upgrade ─▶ challenge ─▶ hello ─▶ admission (one transaction) ─▶ welcome ─▶ session
 */
import { randomBytes } from 'node:crypto';
import type { IncomingMessage, Server } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';
import { AgentError } from '../../contract/failures.ts';
import type { Challenge, FromAgent, Hello } from '../../contract/session-messages.ts';
import { maxFrameBytes, sessionPath, sessionSubprotocol } from '../../contract/signing.ts';
import { type Clock, systemClock } from '../../kit/clock.ts';
import type { Log } from '../../kit/log.ts';
import type { Node } from '../db/entities/node.ts';
import type { Store } from '../db/store.ts';
import type { TaskKeys } from '../keys/task-keys.ts';
import { admit, nodeOfBearer, proven, unproven } from './admission.ts';
import { Connection } from './connection.ts';
import { boundFirstWords } from './first-words.ts';
import type { HubCounts } from './hub-metrics.ts';
import { keepLastSeen } from './last-seen.ts';
import { type LogPart, LogRelay, type LogRequest } from './log-relay.ts';
import { NodeSession, type SessionParts } from './node-session.ts';
import { Presence } from './presence.ts';
import { catchUp } from './record-keeper.ts';
import type { RecordSink } from './record-sink.ts';
import { ReportBudget } from './report-budget.ts';
import type { TaskQueue } from './task-queue.ts';

/** Hellos that may be looked at together. More are sent away before anything is done for them. */
const maxAdmissions = 256;
const helloSeconds = 10;
const sweepSeconds = 15;
/** Sweeps between two notes of who was heard of. */
const seenEvery = 4;

export interface HubOptions {
  readonly store: Store;
  readonly queue: TaskQueue;
  readonly keys: TaskKeys;
  readonly sink: RecordSink;
  readonly log: Log;
  readonly clock?: Clock;
  /** Origin that nodes dial, for example `https://cp:8443`. */
  audience(): string;
  readonly heartbeatSeconds?: number;
  /** Until a task that nobody answered is handed out again. */
  readonly leaseSeconds?: number;
  /** Until a node without a session counts as away. */
  readonly awaySeconds?: number;
  /** Bytes of a log that may wait for its reader. */
  readonly logWindowBytes?: number;
  /** What the events and progress reports of a node may cost; see `report-budget.ts`. */
  readonly reportBudget?: number;
}

export class Hub {
  readonly #options: HubOptions;
  readonly #clock: Clock;
  readonly #heartbeatSeconds: number;
  readonly #sockets: WebSocketServer;
  readonly #sessions = new Map<string, NodeSession>();
  /** Those whose hello is being looked at. */
  readonly #applicants = new Set<WebSocket>();
  readonly #relay: LogRelay;
  readonly #presence: Presence;
  readonly #budget: ReportBudget;
  readonly #parts: SessionParts;
  readonly #stopped = new AbortController();
  readonly #counts = { admitted: 0, reconnected: 0, refused: 0, protocol_errors: 0, records: 0 };

  constructor(options: HubOptions) {
    const { clock = systemClock, heartbeatSeconds = 10, leaseSeconds = 30, awaySeconds = 60, logWindowBytes } = options;
    this.#options = options;
    this.#clock = clock;
    this.#heartbeatSeconds = heartbeatSeconds;
    this.#relay = new LogRelay({ clock, ...(logWindowBytes === undefined ? {} : { windowBytes: logWindowBytes }) });
    this.#budget = new ReportBudget(clock, options.reportBudget);
    this.#presence = new Presence({ ...options, clock, awaySeconds });
    this.#parts = {
      ...{ ...options, clock, relay: this.#relay, budget: this.#budget, leaseSeconds },
      onKept: (count) => {
        this.#counts.records += count;
      },
    };
    this.#sockets = new WebSocketServer({
      ...{ noServer: true, clientTracking: false, perMessageDeflate: false, maxPayload: maxFrameBytes },
      handleProtocols: (offered) => (offered.has(sessionSubprotocol) ? sessionSubprotocol : false),
    });
  }

  /** Serves sessions on this server from now on, and everything that belongs to them. `letIn` is told who is known. */
  async start(server: Server, letIn: (socket: Socket) => void): Promise<void> {
    await this.#presence.begin();
    const { queue } = this.#options;
    queue.onWork((nodeId, cancelled) => this.#sessions.get(nodeId)?.wake(cancelled));
    queue.handOutBy(async (tx, nodeId) => await this.#sessions.get(nodeId)?.handOut(tx));
    server.on('upgrade', (request, socket, head) => this.#upgrade(request, socket, head, letIn));
    void this.#sweep();
  }

  /** Says goodbye to everybody, each with another time to come back at. */
  stop(): void {
    this.#stopped.abort();
    this.#presence.stop();
    for (const applicant of this.#applicants) applicant.terminate();
    this.renew();
  }

  /** Lets all nodes come back, each at another time: their next welcome has what changed. */
  renew(): void {
    const spread = Math.min(this.#sessions.size / 20, 30);
    for (const session of this.#sessions.values()) session.comeBack(Math.random() * spread);
  }

  /** True while the node has a session that tasks can be sent on. */
  isConnected(nodeId: string): boolean {
    return this.#sessions.get(nodeId)?.confirmed === true;
  }

  /** Reads a log of a node until its end, or until `signal` is aborted. */
  readLog(nodeId: string, request: LogRequest, signal: AbortSignal): AsyncGenerator<LogPart, void, void> {
    return this.#relay.read(nodeId, request, signal);
  }

  /** The node that this bearer token was given to, while its epoch lasts. */
  async authenticate(bearer: string): Promise<Node | undefined> {
    return await this.#options.store.read((tx) => nodeOfBearer(tx.nodes, bearer));
  }

  /** Ends the session of a node that was revoked. */
  shutOut(nodeId: string): void {
    this.#sessions.get(nodeId)?.end('revoked', 'node.revoked');
  }

  counters(): HubCounts {
    return { sessions: this.#sessions.size, ...this.#counts };
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer, letIn: (socket: Socket) => void): void {
    socket.on('error', () => socket.destroy());
    const refusal = this.#refusalOf(request);
    const greet = (client: WebSocket) => this.#greet(client, socket, () => letIn(request.socket));
    if (refusal === undefined) this.#sockets.handleUpgrade(request, socket, head, greet);
    // Nobody else closes a socket that was given away for an upgrade: one that does not hang up must not be kept.
    else socket.end(`HTTP/1.1 ${refusal}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`, () => socket.destroy());
  }

  /** Status line for what is no agent at the right door; undefined for one that may come in. */
  #refusalOf({ url, headers }: IncomingMessage): string | undefined {
    if (URL.parse(url ?? '', 'http://host')?.pathname !== sessionPath) return '404 Not Found';
    // Agents send none; a browser always does, whatever page it shows.
    if (headers.origin !== undefined) return '403 Forbidden';
    if (!headers['sec-websocket-protocol']?.split(/\s*,\s*/).includes(sessionSubprotocol)) return '400 Bad Request';
    const full = this.#stopped.signal.aborted || this.#applicants.size >= maxAdmissions;
    return full ? '503 Service Unavailable\r\nRetry-After: 5' : undefined;
  }

  #greet(socket: WebSocket, below: Duplex, letIn: () => void): void {
    const challenge: Challenge = {
      ...{ type: 'challenge', nonce: randomBytes(32).toString('base64url'), audience: this.#options.audience() },
      server_time: this.#options.queue.serverTime(),
    };
    let session: NodeSession | undefined;
    let greeted = false;
    const onHello = (message: FromAgent) => {
      if (greeted || message.type !== 'hello') {
        connection.fault(`${message.type} before the welcome`);
        return;
      }
      greeted = true;
      this.#applicants.add(socket);
      void this.#admit(connection, challenge, message).then((admitted) => {
        this.#applicants.delete(socket);
        session = admitted;
        if (!admitted) return;
        liftBound();
        letIn();
        if (connection.gone.aborted) this.#left(admitted);
      });
    };
    const connection = new Connection(socket, {
      ...{ clock: this.#clock, log: this.#options.log, heartbeatSeconds: this.#heartbeatSeconds },
      serverTime: () => this.#options.queue.serverTime(),
      onMessage: (message) => (session ? session.onMessage(message) : onHello(message)),
      onFault: () => {
        this.#counts.protocol_errors += 1;
      },
      onClosed: () => {
        if (session) this.#left(session);
      },
    });
    const liftBound = boundFirstWords(below, () => connection.fault('more than a hello before the welcome'));
    connection.send(challenge);
    void this.#clock.pause(helloSeconds * 1000, connection.gone).then(
      () => greeted || connection.close('unauthenticated', 'no hello'),
      () => undefined,
    );
  }

  /** The session, if the node is let in; otherwise the connection is being closed. */
  async #admit(connection: Connection, challenge: Challenge, hello: Hello): Promise<NodeSession | undefined> {
    const { store, keys, queue, log } = this.#options;
    const now = new Date(this.#clock.wallMs()).toISOString();
    try {
      // Looked at twice: who is nobody must not make those wait who have something to write.
      const known = await store.read((tx) => tx.nodes.get(hello.node_id));
      const facts = { challenge, hello, keys, now, serverTime: queue.serverTime() };
      const admission =
        known && proven(known, challenge, hello) ? await store.write((tx) => admit(tx, facts)) : unproven();
      if (admission.kind === 'welcome') {
        const { node, welcome } = admission;
        const session = new NodeSession(this.#parts, connection, node.id, welcome);
        if (!this.#install(session)) return undefined;
        connection.trust();
        connection.send({ ...welcome, heartbeat_seconds: this.#heartbeatSeconds });
        log.info({ node: node.id, version: node.agent_version }, 'node connected');
        return session;
      }
      this.#counts.refused += 1;
      if (admission.kind === 'quarantined')
        this.#sessions.get(admission.node.id)?.end('quarantined', 'node.quarantined');
      const failure = admission.kind === 'refused' ? admission.failure : new AgentError('node.quarantined');
      const { code, detail } = failure;
      log.warn({ node: hello.node_id, code }, 'node turned away');
      connection.close(
        admission.kind === 'refused' ? admission.close : 'quarantined',
        detail['reason'] ? `${code}: ${detail['reason']}` : code,
      );
    } catch (err) {
      log.error({ err, node: hello.node_id }, 'could not admit a node');
      connection.close('goingAway', 'internal error');
    }
    return undefined;
  }

  /** The newest epoch has the node; whatever was there before has to go. False if a newer one is there already. */
  #install(session: NodeSession): boolean {
    const before = this.#sessions.get(session.nodeId);
    if (before && before.epoch > session.epoch) {
      session.end('superseded');
      return false;
    }
    if (before) this.#relay.detach(before);
    before?.end('superseded');
    this.#sessions.set(session.nodeId, session);
    this.#presence.came(session.nodeId);
    this.#counts.admitted += 1;
    if (session.epoch > 1) this.#counts.reconnected += 1;
    return true;
  }

  #left(session: NodeSession): void {
    this.#relay.detach(session);
    if (this.#sessions.get(session.nodeId) !== session) return;
    this.#sessions.delete(session.nodeId);
    this.#presence.left(session.nodeId);
    this.#options.log.info({ node: session.nodeId }, 'node disconnected');
  }

  /** Ends tasks that waited too long for their node, and notes now and then who is there and of whom too much came. */
  async #sweep(): Promise<void> {
    const { store, queue, log } = this.#options;
    const pause = () =>
      this.#clock.pause(sweepSeconds * 1000, this.#stopped.signal).then(
        () => true,
        () => false,
      );
    for (let turn = 1; await pause(); turn += 1) {
      await store.write((tx) => queue.expire(tx)).catch((err) => log.error({ err }, 'could not end expired tasks'));
      if (turn % seenEvery === 0) {
        const seen = [...this.#sessions.values()].map(({ nodeId, connection }) => ({ nodeId, at: connection.heardAt }));
        await keepLastSeen(store, seen).catch((err) => log.error({ err }, 'could not note which nodes are there'));
        await this.#tellDropped();
      }
    }
    await this.#tellDropped();
  }

  /** Also makes states right that were held back. */
  async #tellDropped(): Promise<void> {
    const { store, queue, log } = this.#options;
    // Of one that is away nothing is believed any more; it says everything anew when it is back.
    for (const node of this.#budget.held().filter(({ id }) => this.isConnected(id))) {
      const onFailure = (err: unknown) => log.error({ err, node: node.id }, 'could not keep what is on a node');
      await catchUp(this.#parts, node).catch(onFailure);
    }
    await this.#budget.tell(store, queue.now()).catch((err) => log.error({ err }, 'could not note what was dropped'));
  }
}

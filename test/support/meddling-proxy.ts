/**
 * Stands between a real agent and a real control plane, as somebody who can read and write the session: says things of its
 * own to either side, and keeps messages back. Everything else passes, plain HTTP as well.
 */
import { once } from 'node:events';
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { type RawData, WebSocket, WebSocketServer } from 'ws';
import type { FromAgent, FromControlPlane } from '../../src/contract/session-messages.ts';
import { sessionPath, sessionSubprotocol } from '../../src/contract/signing.ts';
import type { TaskEnvelope } from '../../src/contract/task-envelope.ts';

export type Side = 'agent' | 'server';

export interface Meddler {
  readonly port: number;
  /** Sessions that came through so far; the last one is the present one. */
  readonly sessions: readonly MeddledSession[];
  /** Messages for which it says true do not arrive. */
  swallows: (message: FromAgent | FromControlPlane) => boolean;
  close(): Promise<void>;
}

export interface MeddledSession {
  /** Says that to one side, as if it came from the other. */
  say(to: Side, data: string | Buffer): void;
  /** Writes bytes to one side that need not be a whole frame. */
  write(to: Side, bytes: Buffer): void;
  /** Close code with which a side ended it. */
  readonly closed: Readonly<Record<Side, Promise<number>>>;
}

export async function startMeddler(target: number): Promise<Meddler> {
  const sessions: MeddledSession[] = [];
  const http = createServer((incoming, outgoing) => pass(target, incoming, outgoing));
  const upgrades = new WebSocketServer({ server: http, path: sessionPath, handleProtocols: () => sessionSubprotocol });
  upgrades.on('connection', (agent) => {
    const server = new WebSocket(`ws://127.0.0.1:${target}${sessionPath}`, [sessionSubprotocol]);
    sessions.push(between(agent, server, (message) => meddler.swallows(message)));
  });
  await once(http.listen(0, '127.0.0.1'), 'listening');
  const meddler: Meddler = {
    ...{ port: (http.address() as AddressInfo).port, sessions, swallows: () => false },
    close: async () => {
      for (const client of upgrades.clients) client.terminate();
      http.closeAllConnections();
      http.close();
      await once(http, 'close');
    },
  };
  return meddler;
}

/** The task in a message; undefined for one that brings none. */
export function taskIn(message: FromAgent | FromControlPlane): TaskEnvelope | undefined {
  if (message.type !== 'task') return undefined;
  return JSON.parse(Buffer.from(message.jws.split('.')[1] ?? '', 'base64url').toString()) as TaskEnvelope;
}

function between(agent: WebSocket, server: WebSocket, swallows: Meddler['swallows']): MeddledSession {
  const sockets = { agent, server };
  const early: string[] = [];
  const relay = (to: WebSocket) => (data: RawData) => {
    if (swallows(JSON.parse(String(data)) as FromAgent | FromControlPlane)) return;
    if (to.readyState === to.CONNECTING) early.push(String(data));
    else to.send(String(data));
  };
  agent.on('message', relay(server)).on('error', () => undefined);
  server.on('message', relay(agent)).on('error', () => undefined);
  server.on('open', () => {
    for (const text of early.splice(0)) server.send(text);
  });
  const closed = {
    agent: once(agent, 'close').then(([code]) => code as number),
    server: once(server, 'close').then(([code]) => code as number),
  };
  void closed.agent.then(() => server.terminate());
  void closed.server.then(() => agent.terminate());
  return {
    closed,
    say: (to, data) => sockets[to].send(data),
    write: (to, bytes) => (sockets[to] as unknown as { readonly _socket: Duplex })._socket.write(bytes),
  };
}

function pass(port: number, incoming: IncomingMessage, outgoing: ServerResponse): void {
  const { url = '/', method = 'GET', headers } = incoming;
  const onward = request({ host: '127.0.0.1', port, path: url, method, headers }, (answer) => {
    outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
    answer.pipe(outgoing);
  });
  onward.on('error', () => outgoing.destroy());
  incoming.pipe(onward);
}

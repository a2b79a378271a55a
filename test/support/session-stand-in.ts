/**
 * A control plane's end of the session, by hand: a real WebSocket server whose every message a test decides. What the
 * agent says is judged by the contract before a test sees it.
 */
import { createPublicKey, generateKeyPairSync, randomBytes, verify } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { CompactSign, importJWK, type JWK } from 'jose';
import { type WebSocket, WebSocketServer } from 'ws';
import type { IdentityKey, TaskKey } from '../../src/contract/enrolment.ts';
import {
  type Challenge,
  FromAgent,
  type FromControlPlane,
  type Hello,
  type Welcome,
} from '../../src/contract/session-messages.ts';
import { helloText, sessionPath, sessionSubprotocol, taskJwsType } from '../../src/contract/signing.ts';
import { judge } from '../../src/contract/validate.ts';

type Said<T extends FromAgent['type']> = Extract<FromAgent, { type: T }>;

export interface Peer {
  readonly socket: WebSocket;
  /** The next message of one of these types; those of other types stay for who asks for them. */
  next<T extends FromAgent['type']>(...types: T[]): Promise<Said<T>>;
  /** Messages that nobody has asked for yet. */
  readonly heard: FromAgent[];
  say(message: FromControlPlane): void;
  /** Resolves with the close code once the agent's connection is gone. */
  readonly closed: Promise<number>;
}

export interface SessionStandIn {
  readonly origin: string;
  /** Peers in the order they came, each once. */
  nextPeer(): Promise<Peer>;
  close(): Promise<void>;
}

export async function sessionStandIn(tls?: { key: string; cert: string }): Promise<SessionStandIn> {
  const http = tls ? createTlsServer(tls) : createServer();
  const server = new WebSocketServer({
    ...{ server: http, path: sessionPath },
    handleProtocols: (offered) => offered.has(sessionSubprotocol) && sessionSubprotocol,
  });
  const peers = mailbox<Peer>();
  server.on('connection', (socket) => peers.put(peerOf(socket)));
  await once(http.listen(0, '127.0.0.1'), 'listening');
  return {
    origin: `${tls ? 'https' : 'http'}://127.0.0.1:${(http.address() as AddressInfo).port}`,
    nextPeer: () => peers.take(() => true),
    close: async () => {
      for (const client of server.clients) {
        client.terminate();
      }
      await new Promise((closed) => server.close(closed));
      http.closeAllConnections();
      await new Promise((closed) => http.close(closed));
    },
  };
}

function peerOf(socket: WebSocket): Peer {
  const messages = mailbox<FromAgent>();
  socket.on('error', () => undefined);
  socket.on('message', (data) => {
    const judged = judge(FromAgent, JSON.parse(String(data)));
    if (!judged.ok) {
      throw new Error(`the agent said what no schema accepts: ${JSON.stringify(judged.errors)} ${String(data)}`);
    }
    messages.put(judged.value);
  });
  const closed = once(socket, 'close').then(([code]) => code as number);
  return {
    ...{ socket, closed, heard: messages.waiting },
    next: (...types) => messages.take(({ type }) => (types as string[]).includes(type)) as never,
    say: (message) => socket.send(JSON.stringify(message)),
  };
}

/** Things in the order they came, and those who wait for one. */
function mailbox<T>() {
  const waiting: T[] = [];
  const takers: { readonly wants: (item: T) => boolean; readonly give: (item: T) => void }[] = [];
  return {
    waiting,
    put(item: T) {
      const taker = takers.findIndex(({ wants }) => wants(item));
      if (taker < 0) waiting.push(item);
      else takers.splice(taker, 1)[0]?.give(item);
    },
    async take(wants: (item: T) => boolean): Promise<T> {
      const found = waiting.findIndex(wants);
      if (found >= 0) {
        return waiting.splice(found, 1)[0] as T;
      }
      return await new Promise((give) => takers.push({ wants, give }));
    },
  };
}

export function challengeFrom(audience: string, changes: Partial<Challenge> = {}): Challenge {
  const nonce = randomBytes(32).toString('base64url');
  return { type: 'challenge', nonce, audience, server_time: '2026-11-25T12:00:00.000Z', ...changes };
}

export function welcomeWith(changes: Partial<Welcome> = {}): Welcome {
  return {
    ...{ type: 'welcome', epoch: 1, heartbeat_seconds: 15, bearer: 'bearer-1', acked: null, task_keys: [] },
    ...{ rotations: [], server_time: '2026-11-25T12:00:00.000Z' },
    ...changes,
  };
}

export function isProven(hello: Hello, { nonce, audience }: Challenge, key: IdentityKey): boolean {
  const by = createPublicKey({ key, format: 'jwk' });
  const text = Buffer.from(helloText({ ...hello, nonce, audience }));
  return verify(null, text, by, Buffer.from(hello.signature, 'base64url'));
}

/** A key that tasks, and the keys after it, are signed with. */
export interface Signer extends TaskKey {
  sign(payload: unknown, typ?: string, header?: object): Promise<string>;
}

export function signerNamed(kid: string): Signer {
  const privateJwk = generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' }) as JWK;
  return {
    kid,
    jwk: { kty: 'OKP', crv: 'Ed25519', x: privateJwk.x ?? '' },
    sign: async (payload, typ = taskJwsType, header = {}) =>
      await new CompactSign(Buffer.from(typeof payload === 'string' ? payload : JSON.stringify(payload)))
        .setProtectedHeader({ alg: 'EdDSA', kid, typ, ...header })
        .sign(await importJWK(privateJwk, 'EdDSA')),
  };
}

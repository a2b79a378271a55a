/** An agent of which a test says every word: real keys, a real socket, and nothing it does by itself. */
import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { WebSocket } from 'ws';
import type { IdentityKey, WrappingPublicKey } from '../../src/contract/enrolment.ts';
import { protocolVersion } from '../../src/contract/protocol.ts';
import type { Challenge, FromAgent, FromControlPlane, Hello, Welcome } from '../../src/contract/session-messages.ts';
import { helloText, sessionPath, sessionSubprotocol } from '../../src/contract/signing.ts';
import type { TaskEnvelope } from '../../src/contract/task-envelope.ts';

export interface AgentKeys {
  readonly identity: KeyObject;
  readonly wrapping: KeyObject;
  readonly identity_key: IdentityKey;
  readonly wrapping_key: WrappingPublicKey;
}

export function makeAgentKeys(): AgentKeys {
  const identity = generateKeyPairSync('ed25519');
  const wrapping = generateKeyPairSync('x25519');
  return {
    identity: identity.privateKey,
    wrapping: wrapping.privateKey,
    identity_key: identity.publicKey.export({ format: 'jwk' }) as IdentityKey,
    wrapping_key: wrapping.publicKey.export({ format: 'jwk' }) as WrappingPublicKey,
  };
}

export function signText(key: KeyObject, text: string): string {
  return sign(null, Buffer.from(text), key).toString('base64url');
}

type MessageOf<T extends FromControlPlane['type']> = Extract<FromControlPlane, { type: T }>;

export class ScriptedAgent {
  readonly socket: WebSocket;
  /** Everything that was received and not asked for yet, oldest first. */
  readonly received: FromControlPlane[] = [];
  /** Resolves with the close code, and with the status of an upgrade that was refused. */
  readonly closed: Promise<number>;
  #notify: () => void = () => undefined;

  constructor(origin: string, options: { protocols?: string[]; headers?: Record<string, string> } = {}) {
    const { protocols = [sessionSubprotocol], headers = {} } = options;
    this.socket = new WebSocket(origin.replace(/^http/, 'ws') + sessionPath, protocols, {
      headers,
      perMessageDeflate: false,
    });
    this.closed = new Promise((resolve) => {
      this.socket.on('close', (code) => resolve(code));
      this.socket.on('unexpected-response', (_, { statusCode = 0 }) => resolve(statusCode));
    });
    this.socket.on('error', () => this.#notify());
    this.socket.on('message', (data) => {
      this.received.push(JSON.parse(String(data)) as FromControlPlane);
      this.#notify();
    });
  }

  send(message: FromAgent): void {
    this.socket.send(JSON.stringify(message));
  }

  /** The next message of that type; others stay for later. Heartbeats that nobody asks for are left out of the way. */
  async next<T extends FromControlPlane['type']>(type: T): Promise<MessageOf<T>> {
    for (;;) {
      const at = this.received.findIndex((message) => message.type === type);
      if (at >= 0) return this.received.splice(at, 1)[0] as MessageOf<T>;
      if (this.socket.readyState >= this.socket.CLOSING) throw new Error(`closed before a ${type} came`);
      await new Promise<void>((resolve) => {
        this.#notify = resolve;
        void this.closed.then(() => resolve());
      });
    }
  }

  /** Proves who it is, and says what the test wants otherwise. */
  async hello(keys: AgentKeys, node_id: string, epoch: number, given: Partial<Hello> = {}): Promise<Challenge> {
    const challenge = await this.next('challenge');
    const boot_id = 'boot-1';
    const { nonce, audience } = challenge;
    this.send({
      ...{ type: 'hello', node_id, boot_id, agent_version: '1.0.0', protocol: protocolVersion, epoch },
      task_types: [{ type: 'workload.oci_remove', version: 1 }],
      signature: signText(keys.identity, helloText({ nonce, audience, node_id, epoch, boot_id })),
      ...given,
    });
    return challenge;
  }

  /** Hello, welcome, confirm. */
  async enter(keys: AgentKeys, nodeId: string, epoch: number): Promise<Welcome> {
    await this.hello(keys, nodeId, epoch);
    const welcome = await this.next('welcome');
    this.send({ type: 'confirm', epoch: welcome.epoch });
    return welcome;
  }

  /** The next task, its signature not looked at. */
  async task(): Promise<{ readonly lease_id: string; readonly envelope: TaskEnvelope }> {
    const { lease_id, jws } = await this.next('task');
    return { lease_id, envelope: JSON.parse(Buffer.from(jws.split('.')[1] ?? '', 'base64url').toString()) };
  }

  /** Takes the next task as one that keeps its word would. */
  async accept(): Promise<TaskEnvelope> {
    const { lease_id, envelope } = await this.task();
    this.send({ type: 'task_accepted', lease_id, task_id: envelope.task_id });
    return envelope;
  }
}

/** An agent's session against a stand-in control plane, with a real journal and real keys in a folder of its own. */
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { controlPlaneOrigin } from '../../../../src/agent/control-plane/origin.ts';
import { epochFile } from '../../../../src/agent/identity/epoch-file.ts';
import { openIdentityKey } from '../../../../src/agent/identity/identity-key.ts';
import { type NodeRecord, writeNode } from '../../../../src/agent/identity/node-record.ts';
import { openJournal } from '../../../../src/agent/journal/open-journal.ts';
import { openSession } from '../../../../src/agent/session/open-session.ts';
import type { LogReply, SessionHandlers, SessionState, TaskAnswer } from '../../../../src/agent/session/session.ts';
import type { LogsOpen } from '../../../../src/contract/session-messages.ts';
import type { TaskEnvelope } from '../../../../src/contract/task-envelope.ts';
import { type Clock, systemClock } from '../../../../src/kit/clock.ts';
import { createLog } from '../../../../src/kit/log.ts';
import {
  challengeFrom,
  type Peer,
  type Signer,
  sessionStandIn,
  signerNamed,
  welcomeWith,
} from '../../../support/session-stand-in.ts';

export interface BenchOptions {
  readonly folder: string;
  readonly clock?: Clock;
  /** Answer to a task; default: accepted. */
  readonly onTask?: (task: TaskEnvelope) => TaskAnswer | Promise<TaskAnswer>;
  /** True where a task that is accepted takes one of the places. */
  readonly takesPlaces?: boolean;
  /** Key and certificate of the control plane. */
  readonly tls?: { readonly key: string; readonly cert: string };
  /** PEM that the agent trusts; empty for the CAs of the system. */
  readonly ca?: string;
}

export async function sessionBench(options: BenchOptions) {
  const { folder, clock = systemClock, onTask, takesPlaces = false, tls, ca = '' } = options;
  const server = await sessionStandIn(tls);
  const stateDir = join(folder, randomUUID());
  const signer = signerNamed('task-key-1');
  const node: NodeRecord = {
    ...{ node_id: 'node-1', allocation_id: 'alloc-1', control_plane: server.origin, ca: '', release_root: signer.jwk },
    task_keys: [{ kid: signer.kid, jwk: signer.jwk, retire_after: null }],
    keys_since: '2026-11-01T00:00:00.000Z',
  };
  writeNode(stateDir, node);
  const journal = openJournal({ stateDir, reserveBytes: 4096 });
  const said = {
    states: [] as SessionState[],
    tasks: [] as TaskEnvelope[],
    cancels: [] as string[],
    streams: [] as { request: LogsOpen; reply: LogReply }[],
    logCalls: [] as string[],
    log: [] as string[],
  };
  const capacity = { credits: 4 };
  const handlers: SessionHandlers = {
    onTask: (task) => {
      said.tasks.push(task);
      capacity.credits -= takesPlaces ? 1 : 0;
      return onTask?.(task) ?? { accepted: true };
    },
    credits: () => capacity.credits,
    onCancel: (id) => said.cancels.push(id),
    logs: {
      open: (request, reply) => said.streams.push({ request, reply }),
      credit: (stream, bytes) => said.logCalls.push(`credit ${stream} ${bytes}`),
      close: (stream) => said.logCalls.push(`close ${stream}`),
    },
    onState: (state) => said.states.push(state),
  };
  const destination = new Writable({
    write: (line, _encoding, done) => {
      said.log.push(String(line));
      done();
    },
  });
  const session = openSession({
    ...{ stateDir, node, journal, handlers, clock, bootId: 'boot-1', agentVersion: '0.1.0', random: () => 0 },
    origin: controlPlaneOrigin(server.origin, ca),
    log: createLog({ destination }),
  });
  session.start();

  return {
    ...{ server, stateDir, signer, node, journal, session, said, capacity },
    identity: openIdentityKey(stateDir),
    epochs: epochFile(stateDir),
    /** Takes the next connection through to its confirmation. */
    async welcome(changes: Parameters<typeof welcomeWith>[0] = {}): Promise<Peer> {
      const peer = await server.nextPeer();
      peer.say(challengeFrom(server.origin));
      const { epoch } = await peer.next('hello');
      peer.say(welcomeWith({ epoch: epoch + 1, ...changes }));
      await peer.next('confirm');
      return peer;
    },
    async close() {
      await session.close();
      journal.close();
      await server.close();
    },
  };
}

export type SessionBench = Awaited<ReturnType<typeof sessionBench>>;

/** Sends a task and returns what is answered. */
export async function deliver(peer: Peer, signer: Signer, payload: unknown, leaseId = 'lease-1') {
  peer.say({ type: 'task', lease_id: leaseId, jws: await signer.sign(payload) });
  return await peer.next('task_accepted', 'task_refused');
}

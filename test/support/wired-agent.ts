/**
 * The agent's side of the wire as it is: real enrolment, real keys, a real journal and a real session. Only what a task does
 * is a test's: it is begun when the journal has it, and ends when the test says so.
 */
import { join } from 'node:path';
import { controlPlaneOrigin } from '../../src/agent/control-plane/origin.ts';
import { enrol } from '../../src/agent/identity/enrol.ts';
import { type NodeRecord, readNode } from '../../src/agent/identity/node-record.ts';
import type { Journal } from '../../src/agent/journal/journal.ts';
import { openJournal } from '../../src/agent/journal/open-journal.ts';
import { openSession } from '../../src/agent/session/open-session.ts';
import type { LogRequests, Session, SessionState } from '../../src/agent/session/session.ts';
import type { TaskEnvelope } from '../../src/contract/task-envelope.ts';
import { type Clock, systemClock } from '../../src/kit/clock.ts';
import { createLog } from '../../src/kit/log.ts';
import { makeJoinToken } from '../../src/server/enrolment/join-token.ts';
import type { HubGround } from './hub-ground.ts';
import { anAllocation } from './store-samples.ts';

export interface WiredAgent {
  readonly nodeId: string;
  readonly journal: Journal;
  readonly session: Session;
  readonly states: SessionState[];
  /** Tasks that were begun, in order; one that is begun twice is there twice. */
  readonly begun: TaskEnvelope[];
  /** Ends a task that was begun. */
  finish(task: TaskEnvelope): void;
  /** As often as it is called. */
  close(): Promise<void>;
}

export interface WiredAgentOptions {
  readonly stateDir: string;
  readonly origin: string;
  readonly clock?: Clock;
  readonly credits?: number;
  readonly logs?: LogRequests;
  /** Called when a task is begun; default: it stays at work. */
  readonly work?: (task: TaskEnvelope, agent: WiredAgent) => void;
}

const noLogs: LogRequests = { open: () => undefined, credit: () => undefined, close: () => undefined };

/** Makes an allocation and enrols a host for it, in `stateDir`. */
export async function enrolHost(
  ground: HubGround,
  origin: string,
  stateDir: string,
  number: number,
): Promise<NodeRecord> {
  const id = `0190a000-0000-7000-8000-${String(number).padStart(12, '0')}`;
  const { token } = await ground.store.write(async (tx) => {
    await tx.allocations.insert(anAllocation({ id }));
    return await makeJoinToken(tx, ground.serverKeys, { allocation_id: id, created_by: 't1', now: Date.now(), ca: '' });
  });
  const host = { hostname: `host-${number}`, agent_version: '1.0.0', os: 'Debian 12', arch: 'x64' } as const;
  return await enrol({ stateDir, origin: controlPlaneOrigin(origin), token, host });
}

/** Starts the agent that lives in `stateDir`, as often as it is needed, also twice at once for a copied identity. */
export function startAgent(options: WiredAgentOptions): WiredAgent {
  const { stateDir, origin, clock = systemClock, credits = 4, logs = noLogs, work = () => undefined } = options;
  const node = readNode(stateDir);
  if (!node) throw new Error(`${join(stateDir, 'identity')} belongs to no node`);
  const journal = openJournal({ stateDir, reserveBytes: 4096 });
  const states: SessionState[] = [];
  const begun: TaskEnvelope[] = [];
  let closing: Promise<void> | undefined;

  const session = openSession({
    ...{ stateDir, node, journal, clock, agentVersion: '1.0.0', log: createLog({ level: 'silent' }) },
    origin: controlPlaneOrigin(origin),
    handlers: {
      onTask: (task) => {
        const { kind } = journal.accept(task, { now: session.serverNow() ?? 0, fenced: true });
        if (kind === 'new') {
          begun.push(task);
          work(task, agent);
        }
        return { accepted: true };
      },
      credits: () => credits - journal.unfinished().length,
      onCancel: () => undefined,
      logs,
      onState: (state) => states.push(state),
    },
  });
  const agent: WiredAgent = {
    ...{ nodeId: node.node_id, journal, session, states, begun },
    finish: ({ task_id }) => {
      const at = new Date().toISOString();
      journal.finish({ task_id, status: 'succeeded', output: null, failure: null, started_at: at, finished_at: at });
      session.pull();
    },
    close: () => {
      closing ??= session.close().then(() => journal.close());
      return closing;
    },
  };
  session.start();
  return agent;
}

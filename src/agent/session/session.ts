/**
 * The agent's one connection to the control plane, from the agent's side: dialled by the host, proven by challenge, kept
 * by heartbeat, and dialled again whenever it is lost.
 *
 * A session never ends by an error of the network, and nothing that goes through it is lost with it: tasks are leases,
 * records wait in the journal, log streams are asked for again by their cursor.
 */
import type { Failure } from '../../contract/failures.ts';
import type { LogsChunk, LogsEnd, LogsGap, LogsOpen } from '../../contract/session-messages.ts';
import type { TaskEnvelope } from '../../contract/task-envelope.ts';

export interface Session {
  readonly state: SessionState;
  readonly counts: SessionCounts;
  /** Begins to dial. Returns at once; `onState` tells how it goes. */
  start(): void;
  /** To be called when `handlers.credits` may have changed: what the control plane may send is said anew where it did. */
  pull(): void;
  /** Server time in milliseconds since 1970, advanced by the monotonic clock; undefined before the first contact. */
  serverNow(): number | undefined;
  /** Bearer token of the present epoch for HTTP calls; undefined while there is no session. */
  bearer(): string | undefined;
  /** Closes the connection and dials no more. Records that wait stay in the journal. */
  close(): Promise<void>;
}

/** Since the agent started. */
export interface SessionCounts {
  /** Sessions that stood. */
  readonly connections: number;
  /** Messages that no schema accepts, or that came at the wrong time. */
  readonly protocolErrors: number;
}

export type SessionState =
  /** `unreachable`: the attempt before found nobody. */
  | { readonly kind: 'connecting'; readonly attempt: number; readonly unreachable?: boolean }
  | { readonly kind: 'connected'; readonly epoch: number }
  /** Nothing is tried for `delay_ms`. `trouble` is there where an operator has to do something. */
  | {
      readonly kind: 'waiting';
      readonly delay_ms: number;
      readonly reason: string;
      readonly trouble?: SessionTrouble;
      /** Nobody answered: the network, or a control plane that is down; neither says anything about this agent. */
      readonly unreachable?: boolean;
    }
  | { readonly kind: 'closed' };

/** Why a control plane turns an agent away: nothing that trying again soon would help with. */
export type SessionTrouble = 'revoked' | 'quarantined' | 'superseded' | 'unauthenticated';

export interface SessionHandlers {
  /**
   * A task that is proven to come from the control plane and is meant for this node. Tasks and cancels are handed over
   * one at a time, in the order they came. The delivery is answered when this returns: what is accepted must be on disk.
   */
  onTask(task: TaskEnvelope): TaskAnswer | Promise<TaskAnswer>;
  /** How many tasks can be taken now. Asked at the begin of each session, after each task, and when `pull` is called. */
  credits(): number;
  /** A task is to be given up; it may be unknown, or have ended. */
  onCancel(taskId: string): void;
  readonly logs: LogRequests;
  onState(state: SessionState): void;
}

export type TaskAnswer = { readonly accepted: true } | { readonly accepted: false; readonly failure: Failure };

/** Whoever reads logs for the control plane. `stream` names the stream in every call. */
export interface LogRequests {
  /** Send through `reply` within the credit, and end with `logs_end`. */
  open(request: LogsOpen, reply: LogReply): void;
  credit(stream: string, bytes: number): void;
  /** Also called for each open stream when the connection is lost. */
  close(stream: string): void;
}

export interface LogReply {
  /** Resolves when the message has left the process: true if it went out, false if the connection is gone. */
  send(message: LogsChunk | LogsGap | LogsEnd): Promise<boolean>;
}

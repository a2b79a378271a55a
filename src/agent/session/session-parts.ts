/** What every connection of a session works with. */
import type { Clock } from '../../kit/clock.ts';
import type { Log } from '../../kit/log.ts';
import type { ControlPlaneOrigin } from '../control-plane/origin.ts';
import type { EpochFile } from '../identity/epoch-file.ts';
import type { NodeRecord, TrustedTaskKey } from '../identity/node-record.ts';
import type { Journal } from '../journal/journal.ts';
import type { ServerClock } from './server-clock.ts';
import type { SessionHandlers } from './session.ts';
import type { TaskTrust } from './task-trust.ts';

export interface SessionParts {
  readonly stateDir: string;
  readonly origin: ControlPlaneOrigin;
  readonly node: NodeRecord;
  readonly epochs: EpochFile;
  readonly bootId: string;
  readonly agentVersion: string;
  readonly journal: Pick<Journal, 'id' | 'resume' | 'waiting' | 'acknowledge' | 'onAppend'>;
  readonly handlers: SessionHandlers;
  readonly trust: TaskTrust;
  readonly serverClock: ServerClock;
  readonly clock: Clock;
  readonly log: Log;
  keepTaskKeys(keys: readonly TrustedTaskKey[]): void;
  /** Called with each protocol error. */
  onFault(): void;
}

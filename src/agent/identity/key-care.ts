/**
 * Looks after the keys of the node: replaced every 30 days, and an old wrapping key forgotten when nothing needs it.
 *
 * The control plane may hold values that were sealed long ago, for an instance that is launched again later. So an old key
 * is kept for half a year at least, and as long as anything on this host is sealed for it.
 */
import type { Log } from '../../kit/log.ts';
import type { ControlPlaneOrigin } from '../control-plane/origin.ts';
import type { Journal } from '../journal/journal.ts';
import { readNode, writeNode } from './node-record.ts';
import { rotateKeys, rotationIsDue } from './rotate-keys.ts';
import { forgetOldWrappingKeys } from './wrapping-key.ts';

export interface KeyCareOptions {
  readonly stateDir: string;
  readonly origin: ControlPlaneOrigin;
  readonly journal: Pick<Journal, 'workloads' | 'unfinished'>;
  /** Server time in milliseconds since 1970. */
  readonly now: number;
  readonly log: Log;
}

const keptMs = 180 * 24 * 60 * 60 * 1000;

/** To be called now and then while there is a session. Fails as `rotateKeys` does, and is to be called again. */
export async function careForKeys({ stateDir, origin, journal, now, log }: KeyCareOptions): Promise<void> {
  forgetTheFuture(stateDir, now);
  if (rotationIsDue({ stateDir, now })) {
    await rotateKeys({ stateDir, origin, now });
    log.info({}, 'keys of the node replaced');
  }
  const holders = [
    ...journal.workloads().map(({ params }) => params),
    ...journal.unfinished().map(({ envelope }) => envelope.params),
  ];
  const count = await forgetOldWrappingKeys(stateDir, { before: now - keptMs, sealed: holders.flatMap(sealedIn) });
  if (count > 0) {
    log.info({ count }, 'old wrapping keys forgotten');
  }
}

/** A clock that was ahead at the enrolment would otherwise keep the keys for as much longer. */
function forgetTheFuture(stateDir: string, now: number): void {
  const node = readNode(stateDir);
  if (node && Date.parse(node.keys_since) > now)
    writeNode(stateDir, { ...node, keys_since: new Date(now).toISOString() });
}

/** The sealed values of the params of a task, whatever its type. */
function sealedIn(params: unknown): string[] {
  const { sealed_env = {}, sealed_files = {} } = (params ?? {}) as Record<string, Record<string, unknown>>;
  return [...Object.values(sealed_env), ...Object.values(sealed_files)].filter((value) => typeof value === 'string');
}

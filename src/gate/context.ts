/** What the handlers of the gate share, and what each gets for one call. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Log } from '../kit/log.ts';
import type { KeyedMutex } from '../kit/mutex.ts';
import type { HostPolicy } from '../policy/host-policy.ts';
import type { ArchiveReads } from './archive-reads.ts';
import type { BuildTurns } from './build-turns.ts';
import type { BuiltImages } from './built-images.ts';
import type { CacheRecords } from './cache-records.ts';
import type { EgressImage } from './egress-image.ts';
import type { KnownExecs } from './execs.ts';
import type { PendingStarts } from './pending-starts.ts';
import type { Seals } from './seal.ts';
import type { SealedContainers } from './sealed-containers.ts';
import type { Upstream } from './upstream.ts';

export interface GateContext {
  readonly engine: Upstream;
  readonly policy: HostPolicy;
  readonly seals: Seals;
  readonly containers: SealedContainers;
  readonly execs: KnownExecs;
  readonly caches: CacheRecords;
  readonly builtImages: BuiltImages;
  /** Builds at once, and what is not done beside them. */
  readonly builds: BuildTurns;
  /** What proxies of jobs run. */
  readonly egressImage: EgressImage;
  readonly pendingStarts: PendingStarts;
  readonly archiveReads: ArchiveReads;
  /** Work on one name, or on the network pool, that must not run twice at once. */
  readonly locks: KeyedMutex;
  readonly log: Log;
  /** Group that may connect; undefined where only the gate's own user may. */
  readonly clientGroup: number | undefined;
  /** Has containers that were started and could not be looked at looked at in the background. */
  settleSoon(): void;
}

/** One request that found its route. Everything in it is parsed and of the shape the route lists. */
export interface GateCall {
  readonly params: Readonly<Record<string, string>>;
  readonly query: Readonly<Record<string, string>>;
  /** The parsed body where the route takes one, else undefined. */
  readonly body: unknown;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** Aborted when the client goes away before it has its answer. */
  readonly signal: AbortSignal;
}

/** A call whose client asked for a protocol switch: there is a socket to write to instead of a response. */
export interface UpgradeCall extends Omit<GateCall, 'response'> {
  readonly socket: Duplex;
}

export type Handler = (call: GateCall, gate: GateContext) => Promise<void>;
export type UpgradeHandler = (call: UpgradeCall, gate: GateContext) => Promise<void>;

/** Milliseconds for work that is finished even when its client has gone: half done it would be worse than late. */
export const ownDeadlineMs = 300_000;

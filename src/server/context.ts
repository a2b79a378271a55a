/** What every part of the control plane gets: made once at the start, the same for all. */
import type { Clock } from '../kit/clock.ts';
import type { Log } from '../kit/log.ts';
import type { Channel } from './db/entities/artifact.ts';
import type { Store } from './db/store.ts';
import type { DoorLimits } from './http/door.ts';
import type { RateLimits, RateSizes } from './http/rate-limits.ts';
import type { Hub } from './hub/hub.ts';
import type { TaskQueue } from './hub/task-queue.ts';
import type { MetricsBoard } from './instances/metrics-board.ts';
import type { OutputLimits } from './job-outputs/keep-outputs.ts';
import type { OutputFiles } from './job-outputs/output-files.ts';
import type { ServerKeys } from './keys/server-keys.ts';
import type { ReleaseFiles } from './releases/release-files.ts';
import type { RevisionLimits } from './revisions/keep-pushes.ts';
import type { RevisionFiles } from './revisions/revision-files.ts';

export interface ServerContext {
  readonly store: Store;
  readonly log: Log;
  readonly clock: Clock;
  readonly settings: ServerSettings;
  readonly keys: ServerKeys;
  readonly queue: TaskQueue;
  readonly hub: Hub;
  readonly limits: RateLimits;
  /** Files that hosts install. */
  readonly files: ReleaseFiles;
  /** What is kept of jobs. */
  readonly outputs: OutputFiles;
  readonly outputLimits: OutputLimits;
  /** Files of authors that jobs are made of. */
  readonly revisions: RevisionFiles;
  readonly revisionLimits: RevisionLimits;
  /** The last samples of what runs. */
  readonly samples: MetricsBoard;
}

export interface ServerSettings {
  /** Origin that agents and people use, for example `https://cp.example.com`; the audience of signatures. */
  readonly publicUrl: string;
  /** PEM of the CA that nodes shall trust for it; empty for the CAs of their system. */
  readonly ca: string;
  /**
   * `APP_RUNTIME_LAUNCHABLE_OCI_NODE_TASKS_ENABLED`: only the exact text `true` lets launches become tasks of nodes.
   */
  readonly launchEnabled: boolean;
  /** Who found the hosts ready for that, and when; the environment `production` has no launches without it. */
  readonly launchSignOff?: string;
  /** What this control plane is called: `production`, or a name of one's own. */
  readonly environment: string;
  /** Registry hosts that artifacts may come from. */
  readonly registries: readonly string[];
  /** Of those, the ones that this control plane is the token service of (`auth: token`). */
  readonly tokenRegistries: readonly string[];
  /** User and password for registries that ask for some; handed to nodes only, wrapped. */
  readonly upstream: Readonly<Record<string, { readonly username: string; readonly password: string }>>;
  /** Least lifecycle of an artifact that may be launched. */
  readonly artifactPolicy: 'published' | 'promoted';
  /** With `promoted`: the channel that counts; any where it is left out. */
  readonly artifactChannel?: Channel;
  /** Connections on which nobody has proven yet who they are. */
  readonly strangers?: DoorLimits;
  /** How often somebody may ask; the usual where it is undefined. */
  readonly rates?: RateSizes;
  /** How much is kept of jobs; the usual where it is undefined. */
  readonly outputs?: OutputLimits;
  /** How much is kept of what jobs are made of; the usual where it is undefined. */
  readonly revisions?: RevisionLimits;
  /** What the fleet runs, for example `linux/amd64`. */
  readonly platform: string;
}

/** What every part of the control plane gets: made once at the start, the same for all. */
import type { Clock } from '../kit/clock.ts';
import type { Log } from '../kit/log.ts';
import type { Store } from './db/store.ts';
import type { Hub } from './hub/hub.ts';
import type { TaskQueue } from './hub/task-queue.ts';
import type { ServerKeys } from './keys/server-keys.ts';

export interface ServerContext {
  readonly store: Store;
  readonly log: Log;
  readonly clock: Clock;
  readonly settings: ServerSettings;
  readonly keys: ServerKeys;
  readonly queue: TaskQueue;
  readonly hub: Hub;
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
  /** Registry hosts that artifacts may come from. */
  readonly registries: readonly string[];
  /** True if only promoted artifacts may be launched; else published ones may as well. */
  readonly promotedOnly: boolean;
  /** What the fleet runs, for example `linux/amd64`. */
  readonly platform: string;
}

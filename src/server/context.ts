/** What every part of the control plane gets: made once at the start, the same for all. */
import type { Log } from '../kit/log.ts';
import type { Store } from './db/store.ts';

export interface ServerContext {
  readonly store: Store;
  readonly log: Log;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly settings: ServerSettings;
}

export interface ServerSettings {
  /** Origin that agents and people use, for example `https://cp.example.com`; the audience of signatures. */
  readonly publicUrl: string;
  /**
   * `APP_RUNTIME_LAUNCHABLE_OCI_NODE_TASKS_ENABLED`: only the exact text `true` lets launches become tasks of nodes.
   */
  readonly launchEnabled: boolean;
  /** Registry hosts that artifacts may come from. */
  readonly registries: readonly string[];
}

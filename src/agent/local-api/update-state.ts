/** What the agent says of its own versions. */
import type { Failure } from '../../contract/failures.ts';
import type { LastUpdate, PendingUpdate } from '../update/guarded.ts';
import type { UpdateConfig } from '../update/update-config.ts';

export interface UpdateState {
  /** Of the program that answers. */
  readonly version: string;
  /** To which an operator can go back. */
  readonly previous: string | null;
  readonly pending: PendingUpdate | null;
  readonly last: LastUpdate | null;
  readonly skipped: readonly { readonly version: string; readonly reason: string }[];
  readonly settings: Pick<UpdateConfig, 'automatic' | 'channel' | 'pinned' | 'window'>;
}

/** The present release of the host's channel. */
export interface AvailableUpdate {
  readonly version: string;
  readonly seq: number;
  /** Why this host does not take it; null if it does. */
  readonly refused: Failure | null;
}

/** An app instance as the commands show it; the full shape is `InstanceView` of the control plane. */
import type { Failure } from '../../contract/failures.ts';
import type { InstanceState } from '../../contract/instance-state.ts';
import type { Recovery } from '../../server/instances/recovery.ts';

export interface Instance {
  readonly id: string;
  readonly display_name: string;
  readonly app_slug: string;
  readonly app_version: string;
  readonly allocation_id: string;
  readonly node_id: string | null;
  readonly state: InstanceState;
  readonly state_since: string;
  readonly desired: 'running' | 'stopped' | 'decommissioned';
  readonly summary: string;
  readonly created_at: string;
  /** Id of the token that launched it. */
  readonly created_by: string;
  readonly trace_id: string;
  /** The newest task of it; `logs --task` prints what the agent did for it. */
  readonly current_task_id: string | null;
  readonly failure: Failure | null;
  readonly recovery: Recovery | null;
  readonly resources: { readonly gpu_count: number; readonly cpu_cores: number; readonly memory_gib: number };
  /** What became of its image or version since it was launched. */
  readonly notices: readonly {
    readonly code: string;
    readonly message: string;
    readonly reason: string | null;
    readonly hint: string;
  }[];
  readonly config: Readonly<Record<string, unknown>>;
  /** Most seconds that its launch may take, from the request on. */
  readonly launch_seconds: number;
  readonly image_digest: string;
  readonly endpoints: readonly { readonly name: string; readonly port: number; readonly url: string | null }[];
  readonly access: readonly {
    readonly endpoint: string;
    readonly url: string | null;
    /** To be asked with the token as a bearer; null for a page. */
    readonly bearer_path: string | null;
    readonly tunnel: string | null;
  }[];
  readonly members: readonly {
    readonly name: string;
    readonly state: string;
    readonly health: string | null;
    readonly restarts: number;
    readonly status: { readonly container_name: string; readonly exit_code: number | null } | null;
  }[];
  readonly gpus: readonly {
    readonly uuid: string;
    readonly service: string | null;
    readonly card: {
      readonly name: string;
      readonly memory_mib: number;
      readonly health: string;
      readonly reason: string | null;
    } | null;
  }[];
  readonly history: readonly { readonly state: InstanceState; readonly at: string; readonly reason: string }[];
  readonly cleanup: { readonly removed: string[]; readonly kept: string[]; readonly failed: string[] } | null;
}

/** States that nothing leads out of by itself. */
export const settled: ReadonlySet<InstanceState> = new Set([
  'running',
  'degraded',
  'stopped',
  'failed',
  'decommissioned',
]);

export function instancePath(id: string): string {
  return `/api/v1/app-instances/${encodeURIComponent(id)}`;
}

/** What carrying out a job builds on. A task's context is one; nothing here knows of tasks. */
import type { Resources, Sandbox } from '../contract/workload-oci-launch.ts';
import type { WorkloadState } from '../contract/workload-state.ts';
import type { Log } from '../kit/log.ts';
import type { GivenCards } from '../policy/given-cards.ts';
import type { HostPolicy } from '../policy/host-policy.ts';
import type { ContainerEngine, PullCredential } from '../runtime/engine.ts';
import type { JobMeans } from './job-means.ts';

export interface JobGround {
  readonly taskId: string;
  readonly fencing: number;
  readonly policy: HostPolicy;
  readonly engine: ContainerEngine;
  readonly log: Log;
  /** Aborts when the task is cancelled, or its time is over. */
  readonly signal: AbortSignal;
  readonly jobs: JobMeans;
  /** Why a job that was at work when the agent was started again cannot go on here: it is ended, in order. */
  readonly lacking?: unknown;
  readonly admission: {
    reserve(
      instance: string,
      resources: Pick<Resources, 'cpu_cores' | 'memory_gib'>,
      signal: AbortSignal,
      engine?: Pick<ContainerEngine, 'list'>,
    ): Promise<() => void>;
  };
  readonly gpus: {
    lease(
      instance: string,
      asks: readonly { readonly service: null; readonly count: number; readonly sandbox: Sandbox }[],
      signal: AbortSignal,
    ): Promise<ReadonlyMap<string | null, GivenCards>>;
    give(uuids: readonly string[], sandbox: Sandbox, signal: AbortSignal): Promise<GivenCards>;
    settle(instance: string, containers: readonly { readonly labels: Readonly<Record<string, string>> }[]): void;
  };
  enter(phase: WorkloadState): void;
  emit(type: string, message: string, values?: Record<string, unknown>): void;
  unseal(jwe: string): Promise<Buffer>;
  pullCredential(signal: AbortSignal): Promise<PullCredential | undefined>;
}

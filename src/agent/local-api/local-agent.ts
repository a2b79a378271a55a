/** What the daemon does for the commands of its host; `server.ts` puts it on the socket. */
import type {
  AgentCollectDiagnosticsOutput,
  AgentCollectDiagnosticsParams,
} from '../../contract/agent-collect-diagnostics.ts';
import type { KeptItem } from '../../contract/kept-items.ts';
import type { TaskResult } from '../../contract/task-envelope.ts';
import type { WorkloadEvent } from '../../contract/workload-output.ts';
import type { CheckResult } from '../../host/doctor/check.ts';
import type { PullCredential } from '../../runtime/engine.ts';
import type { Explanation } from '../explain/explanation.ts';
import type { LogSources } from '../logs/log-source.ts';
import type { AgentStatus, HostCards, TaskSummary } from './agent-status.ts';
import type { AvailableUpdate, UpdateState } from './update-state.ts';

export interface LocalRun {
  /** The task has an id from here on: it can be cancelled by it, and its log be read. */
  readonly onAccepted: (taskId: string) => void;
  readonly onEvent: (event: WorkloadEvent) => void;
  readonly credential: PullCredential | undefined;
}

export interface LocalAgent {
  readonly logs: LogSources;
  /** A snapshot; asks nobody and waits for nothing. */
  status(): AgentStatus;
  /** Tasks that the journal knows, newest first. */
  tasks(): readonly TaskSummary[];
  /** `explain.unknown` where nobody here has heard of such an instance, job or task. */
  explain(id: string, signal: AbortSignal): Promise<Explanation>;
  /** True: takes no new work from now on, until false. Running workloads stay as they are. */
  drain(on: boolean): Promise<void>;
  /** Replaces the keys of the node, which has to be connected. */
  rotateKeys(): Promise<void>;
  /** A snapshot; asks nobody and waits for nothing. */
  cards(): HostCards;
  /** An operator has seen to a card: it is no longer quarantined, or given up where it is gone. False where nobody knows it. */
  clearCard(uuid: string): boolean;
  /** Caches and built images, those first that were not used for the longest; without `measure` with the sizes that are known. */
  kept(how: { readonly measure: boolean }): Promise<readonly KeptItem[]>;
  /** Takes that one away, or all that nobody uses; `cache.in_use`, `image.in_use`. False where there is none of that id. */
  removeKept(id: string | undefined): Promise<boolean>;
  /** Gives a task up; one that has ended already is left alone, false then. */
  cancel(taskId: string): boolean;
  /**
   * Carries out a bare `{type, params}` or an envelope, in turn with the tasks of the control plane; to its end, also if
   * whoever asked goes away.
   */
  runTask(document: unknown, run: LocalRun): Promise<TaskResult>;
  /** What is known of versions; asks nobody. */
  update(): UpdateState;
  /** Asks the control plane for the present release of the host's channel. */
  availableUpdate(signal: AbortSignal): Promise<AvailableUpdate>;
  doctor(signal: AbortSignal): Promise<readonly CheckResult[]>;
  /** Gives a free card to a container that looks at it; the container is removed again. */
  sampleGpu(signal: AbortSignal): Promise<CheckResult>;
  /** A bundle for support, without secrets; see docs/tasks.md. */
  diagnose(wish: AgentCollectDiagnosticsParams, signal: AbortSignal): Promise<AgentCollectDiagnosticsOutput>;
  /** What `node-agent config` prints, as the daemon has it. */
  config(): Promise<unknown>;
}

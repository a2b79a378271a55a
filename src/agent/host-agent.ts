/** The daemon as the commands of its host see it. */
import { randomUUID } from 'node:crypto';
import { AgentError } from '../contract/failures.ts';
import { type TaskEnvelope, TaskEnvelope as TaskEnvelopeSchema, type TaskResult } from '../contract/task-envelope.ts';
import { judge } from '../contract/validate.ts';
import type { CheckResult } from '../host/doctor/check.ts';
import type { HostPolicy } from '../policy/host-policy.ts';
import type { ContainerEngine, PullCredential } from '../runtime/engine.ts';
import type { GpuLedger } from '../tasks/gpu-ledger.ts';
import { envelopeOf, isBare } from './bare-task.ts';
import type { LoadedConfig } from './config.ts';
import { sampleGpu } from './diagnostics/sample-gpu.ts';
import type { DrainState } from './drain-state.ts';
import type { GpuHealth } from './gpus/gpu-health.ts';
import type { HostDoctor } from './host-doctor.ts';
import type { Journal } from './journal/journal.ts';
import type { KeptForLater } from './kept-for-later.ts';
import type { AgentStatus, HostCards } from './local-api/agent-status.ts';
import type { LocalAgent, LocalRun } from './local-api/local-agent.ts';
import { summaryOf } from './local-api/task-summary.ts';
import type { AvailableUpdate, UpdateState } from './local-api/update-state.ts';
import type { LogSources } from './logs/log-source.ts';
import type { TaskLoop } from './task-loop.ts';
import type { UpdatePlaces } from './update/places.ts';
import { updateStateOf } from './update/update-state.ts';
import type { Updater } from './update/updater.ts';

export interface HostAgentParts {
  readonly loaded: LoadedConfig;
  readonly policy: HostPolicy;
  readonly journal: Journal;
  readonly doctor: Pick<HostDoctor, 'examine'>;
  readonly engine: Pick<ContainerEngine, 'image'>;
  readonly loop: TaskLoop;
  readonly drain: DrainState;
  readonly logs: LogSources;
  readonly status: () => AgentStatus;
  readonly explain: LocalAgent['explain'];
  readonly gpus: Pick<GpuLedger, 'describe'>;
  readonly health: Pick<GpuHealth, 'cards' | 'clear' | 'hearsKernel'>;
  readonly kept: Pick<KeptForLater, 'items' | 'removeAsked'>;
  readonly version: string;
  readonly updates: UpdatePlaces;
  readonly updater: Pick<Updater, 'available'>;
  readonly diagnose: LocalAgent['diagnose'];
  readonly rotateKeys: LocalAgent['rotateKeys'];
  /** Called after the drain began or ended. */
  readonly onDrain: () => void;
}

/** Tasks that `node-agent tasks` shows at most. */
const listedTasks = 200;

export class HostAgent implements LocalAgent {
  readonly #parts: HostAgentParts;
  /** Credentials that came with a task, as long as it is at work. */
  readonly #credentials = new Map<string, PullCredential>();

  constructor(parts: HostAgentParts) {
    this.#parts = parts;
  }

  get logs(): LogSources {
    return this.#parts.logs;
  }

  get explain(): LocalAgent['explain'] {
    return this.#parts.explain;
  }

  get diagnose(): LocalAgent['diagnose'] {
    return this.#parts.diagnose;
  }

  get rotateKeys(): LocalAgent['rotateKeys'] {
    return this.#parts.rotateKeys;
  }

  status(): AgentStatus {
    return this.#parts.status();
  }

  tasks() {
    return this.#parts.journal.tasks({ limit: listedTasks }).map(summaryOf);
  }

  async drain(on: boolean): Promise<void> {
    const { drain, onDrain } = this.#parts;
    if (on) {
      drain.begin('host', 'An operator asked for it on the host.', new Date().toISOString());
    } else {
      drain.end('host');
    }
    onDrain();
  }

  cards(): HostCards {
    const { gpus, health } = this.#parts;
    return { gpus: gpus.describe(health.cards()), hears_kernel: health.hearsKernel };
  }

  clearCard(uuid: string): boolean {
    return this.#parts.health.clear(uuid);
  }

  async kept(how: { readonly measure: boolean }) {
    return await this.#parts.kept.items(how);
  }

  async removeKept(id: string | undefined): Promise<boolean> {
    return await this.#parts.kept.removeAsked(id);
  }

  cancel(taskId: string): boolean {
    return this.#parts.loop.cancel(taskId);
  }

  /** The credential that somebody on the host gave for this task. */
  credentialOf(taskId: string): PullCredential | undefined {
    return this.#credentials.get(taskId);
  }

  async runTask(document: unknown, { onAccepted, onEvent, credential }: LocalRun): Promise<TaskResult> {
    const envelope = await this.#envelopeOf(document);
    const { task_id } = envelope;
    if (credential) {
      this.#credentials.set(task_id, credential);
    }
    try {
      return await this.#parts.loop.runHere(envelope, { onAccepted: () => onAccepted(task_id), onEvent });
    } finally {
      this.#credentials.delete(task_id);
    }
  }

  update(): UpdateState {
    const { updates, loaded, version } = this.#parts;
    return updateStateOf(updates, loaded.config, version);
  }

  async availableUpdate(signal: AbortSignal): Promise<AvailableUpdate> {
    return await this.#parts.updater.available(signal);
  }

  async doctor(signal: AbortSignal) {
    return await this.#parts.doctor.examine(signal);
  }

  async sampleGpu(signal: AbortSignal): Promise<CheckResult> {
    const { policy, journal, engine } = this.#parts;
    const unheard = { onAccepted: () => undefined, onEvent: () => undefined, credential: undefined };
    return await sampleGpu(
      {
        ...{ allocationId: policy.allocation.id, journal, engine, cards: () => this.cards().gpus },
        run: (task) => this.runTask(task, unheard),
      },
      signal,
    );
  }

  async config() {
    const { loaded, policy } = this.#parts;
    return { ...loaded, policy };
  }

  async #envelopeOf(document: unknown): Promise<TaskEnvelope> {
    const { policy, journal } = this.#parts;
    const value = isBare(document)
      ? await envelopeOf(document, { policy, taskId: randomUUID(), fencing: (id) => journal.fencing(id) + 1 })
      : document;
    const judged = judge(TaskEnvelopeSchema, value);
    if (!judged.ok) {
      throw new AgentError('task.invalid', { errors: judged.errors.map((error) => ({ ...error })) });
    }
    return judged.value;
  }
}

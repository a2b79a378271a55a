/**
 * A job that is at work: its record, on the disk after each change and before anything builds on it, and what is known of it
 * in this process alone.
 */
import { bounds, cutText } from '../contract/bounds.ts';
import { AgentError, type Failure } from '../contract/failures.ts';
import type { JobPlan } from '../contract/job-plan.ts';
import { type JobWarning, maxJobWarnings } from '../contract/job-report.ts';
import { type JobState, moveJob, moveStep, stepHasEnded } from '../contract/job-state.ts';
import { labels, networkName } from '../contract/names.ts';
import { redactText } from '../kit/log.ts';
import { toItsEnd } from '../kit/to-its-end.ts';
import type { ImageFacts } from '../policy/container-request.ts';
import { groupOfPlan, type ServiceGroup } from '../policy/service-group.ts';
import type { ContainerFacts } from '../runtime/engine.ts';
import { settledCommands, wasStopped } from './command-reports.ts';
import { ensureEgress } from './ensure-egress.ts';
import type { JobGround } from './job-ground.ts';
import type { JobRecord, KeptJob, StepRecord } from './job-record.ts';
import type { Part } from './parts.ts';
import { partsOf } from './parts.ts';
import type { KnownValues } from './resolve-values.ts';
import type { StepResults } from './step-results.ts';

/** Why a container of a job is stopped. */
export type Ending = NonNullable<StepRecord['ending']>;

export class RunningJob {
  readonly ground: JobGround;
  readonly plan: JobPlan;
  readonly parts: readonly Part[];
  /** The shared services in whose network it runs. */
  readonly group: ServiceGroup | undefined;
  readonly images = new Map<string, ImageFacts>();
  /** What its shared services run in, once it has joined them. */
  shared: RunningJob | undefined;
  /** Cards of the job, sorted. */
  cards: readonly string[] = [];
  /** What a service that is not ready has last answered, by its id. */
  readonly answers = new Map<string, string>();
  /** Of steps that run. */
  readonly results = new Map<string, StepResults>();
  readonly #stopped = new Map<string, AbortController>();
  #kept: KeptJob;
  #changed = Promise.withResolvers<void>();
  #network: Promise<void> | undefined;

  constructor(kept: KeptJob, ground: JobGround) {
    this.#kept = kept;
    this.ground = ground;
    this.plan = kept.plan;
    this.parts = partsOf(kept.plan);
    this.group = groupOfPlan(kept.plan);
  }

  get id(): string {
    return this.#kept.job_id;
  }

  get kept(): KeptJob {
    return this.#kept;
  }

  get record(): JobRecord {
    return this.#kept.record;
  }

  /** Throws where this process has let go of its jobs: nothing is to happen any more, the next one goes on. */
  update(change: Partial<JobRecord>): void {
    const { jobs } = this.ground;
    jobs.running.assertHeld();
    const record = { ...this.record, ...change };
    jobs.records.put(this.id, record, this.record);
    this.#kept = { ...this.#kept, record };
    const { resolve } = this.#changed;
    this.#changed = Promise.withResolvers<void>();
    resolve();
  }

  move(state: JobState, change: Partial<JobRecord> = {}): void {
    this.update({ ...change, state: moveJob(this.record.state, state) });
  }

  step(id: string): StepRecord {
    const step = this.record.steps[id];
    if (!step) throw new Error(`job ${this.id} has no step ${id}`);
    return step;
  }

  updateStep(id: string, change: Partial<StepRecord>): void {
    const step = this.step(id);
    const state = moveStep(step.state, change.state ?? step.state);
    const changed = { ...step, ...change, state };
    this.update({ steps: { ...this.record.steps, [id]: stepHasEnded(state) ? this.#withoutOpen(changed) : changed } });
    const runs = Object.values(this.record.steps).some((each) => each.state === 'running');
    if (!runs && step.state === 'running') this.#network = undefined;
  }

  /** Its commands that were not done are not done any more. */
  #withoutOpen(step: StepRecord): StepRecord {
    const { id, state, commands, failure } = step;
    const script = this.plan.steps.find((each) => each.id === id)?.script;
    if (!commands || !script) return step;
    const why = failure?.message ?? wasStopped;
    return {
      ...step,
      commands: settledCommands(commands, script, { isDone: state === 'succeeded', why }),
      at_work: null,
    };
  }

  /** Resolves after the next change of the record. */
  changed(): Promise<void> {
    return this.#changed.promise;
  }

  /** Aborts when the container of the step is to be stopped. */
  stopOf(id: string): AbortSignal {
    const known = this.#stopped.get(id) ?? new AbortController();
    this.#stopped.set(id, known);
    return known.signal;
  }

  /** Has the step ended, for that reason; one that has ended, or is to end already, is left to it. */
  stop(id: string, ending: Ending): void {
    const step = this.step(id);
    if (stepHasEnded(step.state) || step.ending !== null) return;
    this.updateStep(id, { ending });
    this.stopOf(id);
    this.#stopped.get(id)?.abort();
  }

  /** After a step was stopped and is started again. */
  resumeStep(id: string): void {
    this.#stopped.delete(id);
  }

  /**
   * The network of the job or of its group, made unless it is there. It is asked for again after nothing of the job ran for a while: an engine's
   * `network prune` takes what no running container holds.
   */
  async ensureNetwork(): Promise<void> {
    if (this.plan.network === 'none') return;
    this.#network ??= this.#makeNetwork();
    const network = this.#network;
    try {
      await network;
    } catch (error) {
      if (this.#network === network) this.#network = undefined;
      throw error;
    }
  }

  async #makeNetwork(): Promise<void> {
    const { ground, plan } = this;
    const { project_id, allocation_id } = plan.identity;
    if (plan.network === 'allow_list') {
      await ensureEgress(this);
      return;
    }
    const id = this.group?.id ?? this.id;
    const owner = { [labels.instance]: id, [labels.project]: project_id, [labels.allocation]: allocation_id };
    await ground.engine.ensureNetwork(networkName(id), owner, toItsEnd());
  }

  /** Resolves when it is not being made any more. */
  async networkSettled(): Promise<void> {
    await this.#network?.catch(() => undefined);
  }

  /** Where a volume is in a container: what was fetched is mounted as it lies on the host, unless somebody may write to it. */
  sourceOf(volume: string): 'volume' | 'cache' | 'inputs' {
    if (this.plan.caches?.some(({ name }) => name === volume)) return 'cache';
    const mounts = this.parts.flatMap((part) => part.mounts).filter((mount) => mount.volume === volume);
    const isFetched = this.plan.inputs.some((input) => input.volume === volume);
    return isFetched && mounts.every(({ read_only }) => read_only) ? 'inputs' : 'volume';
  }

  isOurs({ labels: of }: Pick<ContainerFacts, 'labels'>): boolean {
    return of[labels.task] === this.ground.taskId;
  }

  values(): KnownValues {
    const { policy } = this.ground;
    const { steps } = this.record;
    return {
      result: (step, name) => this.results.get(step)?.get(name) ?? steps[step]?.results[name],
      host: (step) => (steps[step] ? step : undefined),
      endpoint: (step, port) => {
        const published = steps[step]?.ports.find(({ container_port }) => container_port === port);
        return published && `127.0.0.1:${published.host_port}`;
      },
      service: (id) => {
        const service = steps[id] ?? this.shared?.record.steps[id];
        return service && (service.state === 'succeeded' ? 'ended' : service.ready ? 'ready' : 'starting');
      },
      job: { id: this.id, host: policy.node_id, project: this.plan.identity.project_id },
    };
  }

  /** Notes what could not be fetched or kept, until it can be: once of each. */
  warn(warning: JobWarning): void {
    const message = cutText(redactText(warning.message), bounds.line / 2);
    if (
      this.record.warnings?.some(
        ({ kind, name, message: said }) => kind === warning.kind && name === warning.name && said === message,
      )
    )
      return;
    const others = this.#withoutWarning(warning);
    this.update({ warnings: [...others, { ...warning, message }].slice(-maxJobWarnings) });
  }

  unwarn(about: Pick<JobWarning, 'kind' | 'name'>): void {
    const others = this.#withoutWarning(about);
    if (others.length < (this.record.warnings?.length ?? 0)) this.update({ warnings: others });
  }

  #withoutWarning({ kind, name }: Pick<JobWarning, 'kind' | 'name'>): JobWarning[] {
    return (this.record.warnings ?? []).filter((each) => each.kind !== kind || each.name !== name);
  }

  emit(type: string, message: string, values: Record<string, unknown> = {}): void {
    this.ground.emit(type, cutText(message, bounds.message), values);
  }
}

/** What an error means for whoever reads the report of a job; secrets of its task are taken out of results by the dispatcher. */
export function failureOf(error: unknown): Failure {
  if (error instanceof AgentError) return error.toFailure();
  const reason = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  return new AgentError('internal', { reason }, { cause: error }).toFailure();
}

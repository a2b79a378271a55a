/**
 * Looks after the workloads of this host between tasks. Containers live without it; it notices, tells and repairs.
 *
 * - What happens to a container becomes an event with its cause and the engine's own time.
 * - An ended workload is started again as its launch said, with backoff; nothing else is ever started or stopped.
 * - An engine that is away makes every workload `unknown`, never `failed`.
 * - A container with a valid seal that the journal does not know is adopted; one that a task had removed is taken away.
 *   Whatever has no valid seal is not even listed by the gate.
 * - A network of ours without a container, a row and a task is what an interrupted launch left; it is taken away as well.
 *
 * Tasks have precedence: `standAside` before one, and what it returns afterwards.
 */
import { bounds, cutFacts, cutText } from '../../contract/bounds.ts';
import { AgentError, type Failure } from '../../contract/failures.ts';
import { jobHasEnded } from '../../contract/job-state.ts';
import { jobKind, labels } from '../../contract/names.ts';
import type { RecordBody } from '../../contract/records.ts';
import type { WorkloadState } from '../../contract/workload-state.ts';
import { isServiceGroup } from '../../policy/service-group-id.ts';
import type { ContainerSummary, EngineEvent } from '../../runtime/engine.ts';
import type { StackRunner } from '../../runtime/stacks.ts';
import type { Journal, KeptWorkload, SickCard } from '../journal/journal.ts';
import { leftNothing } from '../task-effects.ts';
import { EngineWatch } from './engine-watch.ts';
import type { WatchMeans } from './part-watch.ts';
import { Reaper } from './reaper.ts';
import { rebuiltWorkload } from './rebuilt-workload.ts';
import { type CardHealth, shownState, sickCards } from './sick-cards.ts';
import { WorkloadWatch } from './workload-watch.ts';

export type WorkloadFacts = RecordBody<'topology'>['workloads'][number];

export interface SupervisorOptions extends Omit<WatchMeans, 'journal' | 'onEngineAway'> {
  readonly journal: Pick<
    Journal,
    'workloads' | 'workload' | 'keepWorkload' | 'tasks' | 'raiseFencing' | 'append' | 'jobs'
  >;
  readonly stacks: Pick<StackRunner, 'forget'>;
  /** Brings the leases of cards in line with each look at the engine; left out where nobody leases any. */
  readonly cards?: {
    readonly moment: number;
    reconcile(containers: readonly ContainerSummary[], moment: number): void;
  };
  /** Left out where nobody looks after cards. */
  readonly cardHealth?: CardHealth;
  /** Called after something changed in what `workloads` tells. */
  readonly onChange?: () => void;
  /** Called when the engine went away, and when it is back. */
  readonly onEngine?: () => void;
}

/** The engine, as supervision has seen it last. */
export interface EngineState {
  /** unknown: it was not asked yet. */
  readonly state: 'unknown' | 'ready' | 'away';
  readonly since: string;
  readonly reason: string | null;
}

/** Tasks of a workload that are looked through for what became of it. */
const rememberedTasks = 20;

/** A task that is at work on a workload, as far as others want to know of it. */
export interface Occupation {
  readonly project_id: string;
  readonly allocation_id: string;
  readonly fencing: number;
}

export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #watches = new Map<string, WorkloadWatch>();
  /** Tasks of each workload in the order they came: the first one is at work, the others wait. */
  readonly #busy = new Map<string, Busy[]>();
  readonly #reaper: Reaper;
  readonly #engine: EngineWatch;
  readonly #means: WatchMeans;
  #seen: EngineState = { state: 'unknown', since: '', reason: null };

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#see('unknown', null);
    const { journal, clock, log, engine, stacks } = options;
    const telling: WatchMeans['journal'] = {
      workload: (id) => journal.workload(id),
      keepWorkload: (workload, event) => {
        journal.keepWorkload(workload, event);
        options.onChange?.();
      },
    };
    this.#means = {
      ...options,
      journal: telling,
      onEngineAway: () => this.#engine.suspect(),
    };
    this.#reaper = new Reaper({
      ...{ engine, stacks, log },
      tell: (id, message, values) => journal.append('event', this.#event(id, 'orphan.removed', message, values)),
    });
    this.#engine = new EngineWatch({
      ...{ engine, clock, log },
      lookAtAll: (signal) => this.lookAtAll(signal),
      onEvent: (event) => this.#onEvent(event),
      onAway: (error) => this.#onAway(error),
      onBack: () => this.#onBack(),
    });
  }

  /** Supervises until the signal is aborted, then stands aside for good; workloads run on. */
  async run(signal: AbortSignal): Promise<void> {
    await this.#engine.run(signal);
    await Promise.all([...this.#watches.values()].map((watch) => watch.standAside()));
  }

  /** True while the engine does not answer. */
  get engineAway(): boolean {
    return this.#engine.away;
  }

  get engineState(): EngineState {
    return this.#seen;
  }

  /**
   * Resolves when nothing of the supervisor is at work on the workload, and keeps it so until the returned function is
   * called, once.
   */
  async standAside(workloadId: string, occupation: Occupation): Promise<() => void> {
    const task: Busy = { occupation, phase: undefined };
    this.#busy.set(workloadId, [...(this.#busy.get(workloadId) ?? []), task]);
    const watch = this.#watch(workloadId);
    await Promise.all([watch.standAside(), this.#reaper.done(workloadId)]);
    return () => {
      const others = (this.#busy.get(workloadId) ?? []).filter((each) => each !== task);
      if (others.length === 0) {
        this.#busy.delete(workloadId);
      } else {
        this.#busy.set(workloadId, others);
      }
      watch.resume();
      this.#seeCards(workloadId);
      this.#options.onChange?.();
    };
  }

  /** The phase that a task is in; shown as the state of its workload. */
  notePhase(workloadId: string, phase: WorkloadState): void {
    const [atWork] = this.#busy.get(workloadId) ?? [];
    if (atWork) {
      atWork.phase = phase;
      this.#options.onChange?.();
    }
  }

  /** Cards came, went, or are not as they were. */
  cardsChanged(): void {
    for (const { workload_id } of this.#options.journal.workloads()) {
      this.#seeCards(workload_id);
    }
  }

  /** Every workload of this host, with those that a task is just making. */
  workloads(): WorkloadFacts[] {
    const kept = this.#options.journal.workloads();
    const known = new Set(kept.map(({ workload_id }) => workload_id));
    const coming = [...this.#busy]
      .flatMap(([id, [atWork]]) => (atWork ? [[id, atWork] as const] : []))
      .filter(([id, { phase }]) => !known.has(id) && phase !== undefined && phase !== 'removed')
      .map(([id, { occupation, phase = 'absent' }]) => ({
        ...{ workload_id: id, ...occupation, state: phase, endpoints: [], restarts: 0 },
        since: new Date(this.#options.clock.wallMs()).toISOString(),
      }));
    return [...kept.map((row) => this.#factsOf(row)), ...coming];
  }

  /** Finds what is new, what is left over and what changed; rejects where the engine is away. */
  async lookAtAll(signal: AbortSignal): Promise<void> {
    const { engine, journal, cards } = this.#options;
    // Networks first: one that is seen before its container is listed has a row by then, or a task at work.
    const networks = await engine.networks(signal);
    const moment = cards?.moment ?? 0;
    const containers = await engine.list(signal);
    if (this.#seen.state === 'unknown') {
      this.#see('ready', null);
    }
    const found = Map.groupBy(containers, (container) => container.labels[labels.instance]);
    for (const [id, its] of found) {
      if (id !== undefined && !this.#busy.has(id) && !journal.workload(id)) {
        if (its.some(isOfJob)) await this.#meetJob(id, its, signal);
        else await this.#meet(id, its, signal);
      }
    }
    for (const { name, labels: of } of networks) {
      const id = of[labels.instance];
      if (id !== undefined && !found.has(id) && !this.#isKnown(id)) {
        await this.#reaper.takeNetwork(id, name, signal);
      }
    }
    // Once what was found has its rows: a lease stays for whom the journal knows.
    cards?.reconcile(containers, moment);
    await Promise.all(journal.workloads().map(({ workload_id }) => this.#watch(workload_id).look()));
    this.cardsChanged();
    for (const id of this.#watches.keys()) {
      if (!journal.workload(id) && !this.#busy.has(id)) {
        this.#watches.delete(id);
      }
    }
  }

  #isKnown(id: string): boolean {
    const { journal } = this.#options;
    return this.#busy.has(id) || journal.workload(id) !== undefined || this.#isWantedJob(id);
  }

  /** A job is whoever carries it out's own; what nobody carries out, and nobody wants kept, is what an earlier one has left. */
  #isWantedJob(id: string): boolean {
    // Services that jobs share are ended by whoever knows which jobs those are.
    if (isServiceGroup(id)) return true;
    const job = this.#options.journal.jobs.outline(id);
    return job !== undefined && (job.plan.keep || !jobHasEnded(job.record.state));
  }

  async #meetJob(id: string, containers: readonly ContainerSummary[], signal: AbortSignal): Promise<void> {
    if (this.#isWantedJob(id)) return;
    const names = containers.map(({ name }) => name);
    await this.#reaper.takeJob(id, names, signal);
  }

  /** Containers of ours that no row of the journal speaks of: all of one workload. */
  async #meet(id: string, containers: readonly ContainerSummary[], signal: AbortSignal): Promise<void> {
    const { journal, engine, clock } = this.#options;
    const fencing = Math.max(...containers.map(({ labels: of }) => Number(of[labels.fencing] ?? 0)));
    const names = containers.map(({ name }) => name);
    if (leftNothing(journal.tasks({ workload_id: id, limit: rememberedTasks }), fencing)) {
      await this.#reaper.takeWorkload(id, names, signal);
      return;
    }
    const facts = await Promise.all(names.map((name) => engine.inspect(name, signal)));
    const there = facts.filter((each) => each !== undefined);
    const row = rebuiltWorkload(there, new Date(clock.wallMs()).toISOString());
    if (!row || this.#busy.has(id)) {
      return;
    }
    const event = this.#event(id, 'workload.adopted', adoptionOf(row), { fencing });
    journal.keepWorkload(row, { ...event, state: row.state });
    journal.raiseFencing(id, fencing, row.task_id);
    this.#options.onChange?.();
  }

  #onEvent({ action, container, instance, time }: EngineEvent): void {
    if (!this.#options.journal.workload(instance)) {
      return;
    }
    const watch = this.#watch(instance);
    void (action === 'oom' ? watch.noteOom(container, time) : watch.lookAt(container));
  }

  /** A workload is told once of each card that it has to do without, and nothing is done to it: what it does without is its own. */
  #seeCards(id: string): void {
    const { journal, cardHealth } = this.#options;
    const row = journal.workload(id);
    if (!row || !cardHealth || this.#busy.has(id)) {
      return;
    }
    const [before, now] = [row.sick_gpus ?? [], sickCards(row, cardHealth)];
    if (JSON.stringify(before) === JSON.stringify(now)) {
      return;
    }
    const after = { ...row, sick_gpus: now };
    const news = now.filter(({ uuid }) => !before.some((known) => known.uuid === uuid));
    const isOver = now.length === 0;
    const event = isOver
      ? this.#event(id, 'gpu.recovered', 'The cards of the workload are well again.', {})
      : this.#event(id, 'gpu.unhealthy', troubleOf(news), { gpus: news.map(({ uuid }) => uuid) });
    const [was, is] = [shownState(row), shownState(after)];
    const told = { ...event, state: is === was ? null : is, failure: isOver ? null : failureOf(now) };
    journal.keepWorkload(after, isOver || news.length > 0 ? told : undefined);
    this.#options.onChange?.();
  }

  #onAway(error: unknown): void {
    const { journal, log } = this.#options;
    this.#see('away', error instanceof Error ? error.message : String(error));
    log.warn({ err: error }, 'engine is away');
    const code = (error as { code?: string }).code ?? 'engine.unavailable';
    const message = 'The container engine does not answer. What becomes of the workloads is not known until it does.';
    journal.append('event', this.#event(null, 'engine.away', message, { code }));
    for (const { workload_id } of journal.workloads()) {
      const unknown = this.#event(workload_id, 'workload.unknown', 'The engine is away.', {});
      journal.append('event', { ...unknown, state: 'unknown' });
    }
    this.#options.onEngine?.();
    this.#options.onChange?.();
  }

  #onBack(): void {
    const { journal, log } = this.#options;
    this.#see('ready', null);
    log.info({}, 'engine is back');
    journal.append('event', this.#event(null, 'engine.back', 'The container engine answers again.', {}));
    for (const row of journal.workloads()) {
      const seen = this.#event(row.workload_id, 'workload.seen', 'The engine is back.', {});
      journal.append('event', { ...seen, state: shownState(row) });
    }
    this.#options.onEngine?.();
    this.#options.onChange?.();
  }

  #see(state: EngineState['state'], reason: string | null): void {
    this.#seen = { state, since: new Date(this.#options.clock.wallMs()).toISOString(), reason };
  }

  #event(id: string | null, type: string, message: string, values: Record<string, unknown>): RecordBody<'event'> {
    const time = new Date(this.#options.clock.wallMs()).toISOString();
    return {
      ...{ workload_id: id, source: 'supervisor', state: null, failure: null },
      event: { time, type, phase: null, message: cutText(message, bounds.message), values: cutFacts(values) },
    };
  }

  #watch(id: string): WorkloadWatch {
    const known = this.#watches.get(id);
    if (known) {
      return known;
    }
    const watch = new WorkloadWatch(id, this.#means);
    this.#watches.set(id, watch);
    return watch;
  }

  #factsOf(row: KeptWorkload): WorkloadFacts {
    const { cardHealth } = this.#options;
    const { workload_id, project_id, allocation_id, fencing, endpoints, restarts, since, stack } = row;
    const gpus = (cardHealth?.heldBy(workload_id) ?? []).map(({ uuid }) => uuid).sort();
    const phase = this.#busy.get(workload_id)?.[0]?.phase;
    const shown = phase ?? (this.engineAway ? 'unknown' : shownState(row));
    const services = stack?.services.map(({ service, state, restarts: again, since: then }) => {
      const seen = this.engineAway ? { state: 'unknown' as const, since: this.#seen.since } : { state, since: then };
      return { service, restarts: again, ...seen };
    });
    return {
      ...{ workload_id, project_id, allocation_id, fencing, endpoints: [...endpoints], restarts },
      ...{ state: shown, since: shown === 'unknown' ? this.#seen.since : since },
      ...(services ? { services } : {}),
      ...(gpus.length > 0 ? { gpus } : {}),
    };
  }
}

function isOfJob({ labels: of }: ContainerSummary): boolean {
  return of[labels.kind] === jobKind;
}

function troubleOf(cards: readonly SickCard[]): string {
  const each = cards.map(
    ({ uuid, service, reason }) => `${uuid}${service === null ? '' : ` of the service ${service}`}: ${reason}`,
  );
  return `A card of the workload is not well. ${each.join(' ')}`;
}

function failureOf(cards: readonly SickCard[]): Failure {
  const reason = cards.map(({ uuid, reason: why }) => `${uuid}: ${why}`).join(' ');
  return new AgentError('gpu.unhealthy', { gpus: cards.map(({ uuid }) => uuid), reason }).toFailure();
}

interface Busy {
  readonly occupation: Occupation;
  phase: WorkloadState | undefined;
}

/** With what is not known of it, and what follows from that. */
function adoptionOf({ desired, stack, readiness }: KeptWorkload): string {
  const found = 'A workload of ours was found that the journal did not know; it is looked after from now on.';
  if (desired === 'stopped') {
    return `${found} It does not run, and whether it should is not known: it is left so; start it where it is wanted.`;
  }
  if (stack?.missing) {
    return `${found} It is half a stack: of ${stack.missing.join(', ')} there is no container. Launch it again to have it whole.`;
  }
  const known = stack ? stack.services.every((service) => service.once || service.readiness) : readiness;
  return known ? found : `${found} Its readiness checks are not known: it counts as ready while it stays up.`;
}

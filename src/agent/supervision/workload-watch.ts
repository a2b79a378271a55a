/**
 * Watches one workload between tasks: looks at its container, tells what changed, and has it started again where its
 * policy says so.
 *
 *              ┌── health fails for a while ──▶ degraded ── is well for a while ──┐
 *   running ───┤                                                                  ├──▶ running
 *      ▲       ├── ends, may be restarted ───▶ degraded ── started and ready ─────┘
 *      │       └── ends for good ────────────▶ failed, or stopped after 0
 *      └─────────── somebody started it ───────┘
 *
 * One thing at a time: a look, a restart, or a task. A task has precedence; the watch stands aside for it, gives up what
 * it was waiting for, and looks again afterwards. It never stops a container.
 */
import { AgentError } from '../../contract/failures.ts';
import { containerName } from '../../contract/names.ts';
import { readExcerpt } from '../../runtime/container-end.ts';
import type { ContainerFacts } from '../../runtime/engine.ts';
import type { KeptWorkload } from '../journal/journal.ts';
import { type HealthMemory, healthy, seeHealth } from './health.ts';
import { decideRestart, endedWell, restartOf, stableMs } from './restart-policy.ts';
import { failureOfEnd, type Sighting, sightingOf } from './sighting.ts';
import { isEngineAway, type RestartMeans, ready, restartWorkload } from './workload-restart.ts';
import { discreetly } from './workload-secrets.ts';
import { WorkloadVoice } from './workload-voice.ts';

export interface WatchMeans extends RestartMeans {
  /** Called when a call of the engine finds nobody, or gets no answer. */
  readonly onEngineAway: (error: unknown) => void;
}

type Sighted<K extends Sighting['kind']> = Extract<Sighting, { kind: K }>;

/** How long a container that nobody has seen ready since its start may take to say that it is. */
const readyNowSeconds = 3;
/** How long after the kernel's word an end by SIGKILL counts as brought about for memory. */
const oomEchoMs = 10_000;
/** How long a workload has to live on after that, to be said to live on. */
const oomSettleMs = 2000;

export class WorkloadWatch {
  readonly #id: string;
  readonly #means: WatchMeans;
  readonly #voice: WorkloadVoice;
  #tasks = 0;
  #stop = new AbortController();
  #looks: Promise<void> = Promise.resolve();
  #lookPending = false;
  #restart: Promise<void> | undefined;
  #health: HealthMemory = healthy;
  /** True while nobody has seen it ready since it was started. */
  #unproven: boolean;
  #oomAt: number | undefined;
  #timer: AbortController | undefined;

  constructor(id: string, means: WatchMeans) {
    this.#id = id;
    this.#means = means;
    this.#voice = new WorkloadVoice(means);
    this.#unproven = this.#row()?.state === 'degraded';
  }

  /** Looks at the container when earlier looks are over. Does nothing while a task or a restart is at work. */
  look(): Promise<void> {
    if (!this.#lookPending && this.#tasks === 0 && this.#restart === undefined) {
      this.#lookPending = true;
      const { signal } = this.#stop;
      this.#looks = this.#looks.then(async () => {
        this.#lookPending = false;
        await this.#guarded(signal, () => this.#lookNow(signal));
      });
    }
    return this.#looks;
  }

  /** The kernel killed a process of it for its memory, at that time of the engine. */
  async noteOom(time: string): Promise<void> {
    this.#oomAt = this.#means.clock.monotonicMs();
    const { signal } = this.#stop;
    await this.#guarded(signal, async () => {
      // The workload often ends of it, a moment later: that is then the one thing to be told.
      await this.#means.clock.pause(oomSettleMs, signal);
      const facts = await this.#inspect(signal);
      const row = this.#row();
      if (row && facts?.status === 'running') {
        const message = 'The kernel killed a process of the workload for its memory; the workload itself runs on.';
        this.#voice.tell(row, row.state, { type: 'container.oom', message, values: { time_of_event: time } });
      }
    });
  }

  /** Resolves when nothing is done to the workload any more. For a task, or for the end of the agent; `resume` undoes it. */
  async standAside(): Promise<void> {
    this.#tasks += 1;
    this.#stop.abort(new Error('supervision stands aside'));
    this.#timer?.abort();
    await Promise.all([this.#looks, this.#restart]);
  }

  resume(): void {
    this.#tasks -= 1;
    if (this.#tasks === 0) {
      this.#stop = new AbortController();
      this.#health = healthy;
      this.#unproven = this.#row()?.state === 'degraded';
      void this.look();
    }
  }

  /** What goes wrong is the end of our own waiting, an engine that is away, or a bug that is logged: never thrown. */
  async #guarded(signal: AbortSignal, work: () => Promise<void>): Promise<void> {
    try {
      signal.throwIfAborted();
      await work();
    } catch (error) {
      if (signal.aborted) {
        return;
      }
      if (isEngineAway(error)) {
        this.#means.onEngineAway(error);
      } else {
        this.#means.log.error({ instance: this.#id, err: error }, 'supervision of a workload failed');
      }
    }
  }

  async #lookNow(signal: AbortSignal): Promise<void> {
    if (this.#restart !== undefined) {
      // Asked for before the restart was decided: that one looks again when it is over.
      return;
    }
    const facts = await this.#inspect(signal);
    signal.throwIfAborted();
    const row = this.#row();
    if (!row) {
      return;
    }
    const sighting = sightingOf(facts);
    switch (sighting.kind) {
      case 'running':
        return await this.#onRunning(row, sighting, signal);
      case 'ended':
        return await this.#onEnded(row, this.#withOom(sighting), ranLong(facts), signal);
      case 'gone':
        return this.#onGone(row);
      case 'other':
        this.#means.log.debug({ instance: this.#id, status: sighting.status }, 'container is left as it is');
    }
  }

  async #onRunning(row: KeptWorkload, { unhealthy, since }: Sighted<'running'>, signal: AbortSignal): Promise<void> {
    if (row.state !== 'running' && row.state !== 'degraded') {
      const message = 'The container runs, although no task had started it.';
      this.#voice.tell(row, 'running', { type: 'workload.running', message, time: since });
    } else if (this.#unproven && !(unhealthy && row.params === null && row.readiness === undefined)) {
      await this.#prove(row, signal);
    } else {
      this.#seeHealth(row, unhealthy);
    }
  }

  async #prove(row: KeptWorkload, signal: AbortSignal): Promise<void> {
    try {
      await ready(row, this.#means.engine, signal, readyNowSeconds);
    } catch (error) {
      if (signal.aborted || isEngineAway(error) || !(error instanceof AgentError)) {
        throw error;
      }
      // Still not ready: the slow look asks again. Ended meanwhile: the engine's event brings the next look.
      return;
    }
    this.#unproven = false;
    this.#voice.tell(row, 'running', { type: 'workload.running', message: 'The workload is ready.' });
  }

  #seeHealth(row: KeptWorkload, unhealthy: boolean): void {
    const memory = row.state === 'degraded' ? { ...this.#health, degraded: true } : this.#health;
    const step = seeHealth(memory, unhealthy, this.#means.clock.monotonicMs());
    this.#health = step.memory;
    if (step.changed && unhealthy) {
      const message = 'The health check of the image has been failing for a while.';
      this.#voice.tell(row, 'degraded', { type: 'health.failing', message });
    } else if (step.changed) {
      const message = 'The health check of the image passes again.';
      this.#voice.tell(row, 'running', { type: 'health.recovered', message });
    }
    if (step.lookAgainMs !== null) {
      this.#lookIn(step.lookAgainMs);
    }
  }

  async #onEnded(row: KeptWorkload, end: Sighted<'ended'>, ranLong: boolean, signal: AbortSignal): Promise<void> {
    if (row.state === 'failed' || row.state === 'stopped') {
      return;
    }
    if (row.desired === 'stopped') {
      const message = 'The workload has stopped.';
      this.#voice.tell(row, 'stopped', { type: 'workload.stopped', message, time: end.at });
      return;
    }
    const streak = ranLong ? 0 : row.streak;
    const decision = decideRestart(restartOf(row), end, streak, this.#means.random);
    // An agent that was killed between telling and restarting tells it once only.
    if (row.state !== 'degraded' || row.since !== end.at) {
      const { engine, clean } = await discreetly(row, this.#means);
      const excerpt = await readExcerpt(engine, containerName(this.#id), signal);
      this.#tellEnd({ ...row, streak }, { ...end, error: clean(end.error) }, decision.restart, excerpt);
    }
    if (decision.restart) {
      this.#restartIn(decision.delayMs, signal);
    }
  }

  #tellEnd(row: KeptWorkload, end: Sighted<'ended'>, again: boolean, excerpt: string): void {
    const failure = failureOfEnd(containerName(this.#id), end, end.error, excerpt);
    const done = !again && endedWell(end);
    const state = again ? 'degraded' : done ? 'stopped' : 'failed';
    const what = end.oomKilled
      ? 'The kernel ended the workload for its memory'
      : `The workload ended with ${end.exitCode}`;
    const next = again
      ? '; it is started again'
      : row.streak > 0
        ? `; it was restarted ${row.streak} times in a row and is left so`
        : '';
    const values = { exit_code: end.exitCode, oom_killed: end.oomKilled, attempt: row.streak };
    const wanted = done && restartOf(row).policy !== 'always';
    const event = { type: failure.code, message: `${what}${next}.`, values, time: end.at };
    this.#voice.tell(row, state, event, wanted ? null : failure);
  }

  #restartIn(delayMs: number, signal: AbortSignal): void {
    this.#restart = this.#guarded(signal, async () => {
      const outcome = await restartWorkload(this.#id, delayMs, this.#means, signal);
      this.#unproven = outcome === 'running';
      this.#health = healthy;
    }).then(() => {
      this.#restart = undefined;
      void this.look();
    });
  }

  #onGone(row: KeptWorkload): void {
    if (row.state !== 'failed') {
      const failure = new AgentError('container.not_found', { container: containerName(this.#id) }).toFailure();
      const message = 'The container of the workload is gone, and no task had removed it.';
      this.#voice.tell(row, 'failed', { type: 'container.gone', message }, failure);
    }
  }

  async #inspect(signal: AbortSignal): Promise<ContainerFacts | undefined> {
    try {
      return await this.#means.engine.inspect(containerName(this.#id), signal);
    } catch (error) {
      if (error instanceof AgentError && error.code === 'name.conflict') {
        // Somebody else's container has the name: ours is not there, and that one is not ours to touch.
        return undefined;
      }
      throw error;
    }
  }

  #withOom(end: Sighted<'ended'>): Sighted<'ended'> {
    const echo = this.#oomAt !== undefined && this.#means.clock.monotonicMs() - this.#oomAt < oomEchoMs;
    return echo && end.exitCode === 137 ? { ...end, oomKilled: true } : end;
  }

  #row(): KeptWorkload | undefined {
    return this.#means.journal.workload(this.#id);
  }

  #lookIn(ms: number): void {
    this.#timer?.abort();
    const timer = new AbortController();
    this.#timer = timer;
    this.#means.clock.pause(ms, timer.signal).then(
      () => void this.look(),
      () => undefined,
    );
  }
}

function ranLong(facts: ContainerFacts | undefined): boolean {
  const { startedAt = null, finishedAt = null } = facts ?? {};
  return startedAt !== null && finishedAt !== null && Date.parse(finishedAt) - Date.parse(startedAt) >= stableMs;
}

/**
 * Watches one part of a workload between tasks: looks at its container, tells what changed, and has it started again where
 * its policy says so.
 *
 *              ┌── health fails for a while ──▶ degraded ── is well for a while ──┐
 *   running ───┤                                                                  ├──▶ running
 *      ▲       ├── ends, may be restarted ───▶ degraded ── started and ready ─────┘
 *      │       └── ends for good ────────────▶ failed, or stopped after 0
 *      └─────────── somebody started it ───────┘
 *
 * One thing at a time: a look, or a restart. It lasts from the end of a task to the begin of the next, never stops a
 * container, and touches none but its own.
 */
import { AgentError } from '../../contract/failures.ts';
import { readExcerpt } from '../../runtime/container-end.ts';
import type { ContainerFacts } from '../../runtime/engine.ts';
import { isEngineAway } from '../../runtime/engine-away.ts';
import { type HealthMemory, healthy, seeHealth } from './health.ts';
import { type RestartMeans, ready, restartPart } from './part-restart.ts';
import { nameOf, type Part, partsOf } from './parts.ts';
import { decideRestart, endedWell, stableMs } from './restart-policy.ts';
import { failureOfEnd, type Sighting, sightingOf } from './sighting.ts';
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

export class PartWatch {
  readonly #id: string;
  readonly #container: string;
  readonly #means: WatchMeans;
  readonly #voice: WorkloadVoice;
  readonly #stop = new AbortController();
  #looks: Promise<void> = Promise.resolve();
  #lookPending = false;
  #restart: Promise<void> | undefined;
  #health: HealthMemory = healthy;
  /** True while nobody has seen it ready since it was started. */
  #unproven: boolean;
  #oomAt: number | undefined;
  #timer: AbortController | undefined;

  constructor({ workload_id, container, state }: Part, means: WatchMeans) {
    this.#id = workload_id;
    this.#container = container;
    this.#means = means;
    this.#voice = new WorkloadVoice(means);
    this.#unproven = state === 'degraded';
  }

  /** Looks at the container when earlier looks are over. Does nothing while a restart is at work, and after the end. */
  look(): Promise<void> {
    if (!this.#lookPending && this.#restart === undefined) {
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
      const part = this.#part();
      if (part && facts?.status === 'running') {
        const name = nameOf(part);
        const message = `The kernel killed a process of the ${name} for its memory; the ${name} itself runs on.`;
        this.#voice.tell(part, part.state, { type: 'container.oom', message, values: { time_of_event: time } });
      }
    });
  }

  /** Gives up what it waits for. Resolves when nothing is done to the container any more, for good. */
  async end(): Promise<void> {
    this.#stop.abort(new Error('supervision stands aside'));
    this.#timer?.abort();
    await Promise.all([this.#looks, this.#restart]);
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
        this.#means.log.error(
          { instance: this.#id, container: this.#container, err: error },
          'supervision of a container failed',
        );
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
    const part = this.#part();
    if (!part) {
      return;
    }
    const sighting = sightingOf(facts);
    switch (sighting.kind) {
      case 'running':
        return await this.#onRunning(part, sighting, signal);
      case 'ended':
        return await this.#onEnded(part, this.#withOom(sighting), ranLong(facts), signal);
      case 'gone':
        return this.#onGone(part);
      case 'other':
        this.#means.log.debug({ container: this.#container, status: sighting.status }, 'container is left as it is');
    }
  }

  async #onRunning(part: Part, { unhealthy, since }: Sighted<'running'>, signal: AbortSignal): Promise<void> {
    if (part.state !== 'running' && part.state !== 'degraded') {
      const message = `The container${part.service === null ? '' : ` of the ${nameOf(part)}`} runs, although no task had started it.`;
      this.#voice.tell(part, 'running', { type: 'workload.running', message, time: since });
    } else if (this.#unproven && !(unhealthy && part.readiness === undefined)) {
      await this.#prove(part, signal);
    } else {
      this.#seeHealth(part, unhealthy);
    }
  }

  async #prove(part: Part, signal: AbortSignal): Promise<void> {
    try {
      await ready(part, this.#means, signal, readyNowSeconds);
    } catch (error) {
      if (signal.aborted || isEngineAway(error) || !(error instanceof AgentError)) {
        throw error;
      }
      // Still not ready: the slow look asks again. Ended meanwhile: the engine's event brings the next look.
      return;
    }
    this.#unproven = false;
    this.#voice.tell(part, 'running', { type: 'workload.running', message: `The ${nameOf(part)} is ready.` });
  }

  #seeHealth(part: Part, unhealthy: boolean): void {
    const memory = part.state === 'degraded' ? { ...this.#health, degraded: true } : this.#health;
    const step = seeHealth(memory, unhealthy, this.#means.clock.monotonicMs());
    this.#health = step.memory;
    if (step.changed && unhealthy) {
      const message = `The health check ${ofImage(part)} has been failing for a while.`;
      this.#voice.tell(part, 'degraded', { type: 'health.failing', message });
    } else if (step.changed) {
      const message = `The health check ${ofImage(part)} passes again.`;
      this.#voice.tell(part, 'running', { type: 'health.recovered', message });
    }
    if (step.lookAgainMs !== null) {
      this.#lookIn(step.lookAgainMs);
    }
  }

  async #onEnded(part: Part, end: Sighted<'ended'>, ranLong: boolean, signal: AbortSignal): Promise<void> {
    if (part.state === 'failed' || part.state === 'stopped') {
      return;
    }
    if (part.desired === 'stopped') {
      const message = `The ${nameOf(part)} has stopped.`;
      this.#voice.tell(part, 'stopped', { type: 'workload.stopped', message, time: end.at });
      return;
    }
    const streak = ranLong ? 0 : part.streak;
    if (part.once && endedWell(end)) {
      const message = `The ${nameOf(part)} has done its work.`;
      this.#voice.tell(part, 'stopped', { type: 'service.completed', message, time: end.at });
      return;
    }
    const decision = decideRestart(part.policy, end, streak, this.#means.random);
    // An agent that was killed between telling and restarting tells it once only.
    if (part.state !== 'degraded' || part.since !== end.at) {
      const { engine, clean } = await discreetly(this.#id, this.#means);
      const excerpt = await readExcerpt(engine, this.#container, signal);
      this.#tellEnd({ ...part, streak }, { ...end, error: clean(end.error) }, decision.restart, excerpt);
    }
    if (decision.restart) {
      this.#restartIn(decision.delayMs, signal);
    }
  }

  #tellEnd(part: Part, end: Sighted<'ended'>, again: boolean, excerpt: string): void {
    const failure = failureOfEnd(this.#container, end, end.error, excerpt);
    const done = !again && endedWell(end);
    const state = again ? 'degraded' : done ? 'stopped' : 'failed';
    const what = end.oomKilled
      ? `The kernel ended the ${nameOf(part)} for its memory`
      : `The ${nameOf(part)} ended with ${end.exitCode}`;
    const next = again
      ? '; it is started again'
      : part.streak > 0
        ? `; it was restarted ${part.streak} times in a row and is left so`
        : '';
    const values = { exit_code: end.exitCode, oom_killed: end.oomKilled, attempt: part.streak };
    const wanted = done && part.policy.policy !== 'always';
    const event = { type: failure.code, message: `${what}${next}.`, values, time: end.at };
    this.#voice.tell(part, state, event, wanted ? null : failure);
  }

  #restartIn(delayMs: number, signal: AbortSignal): void {
    this.#restart = this.#guarded(signal, async () => {
      const outcome = await restartPart(this.#id, this.#container, delayMs, this.#means, signal);
      this.#unproven = outcome === 'running';
      this.#health = healthy;
    }).then(() => {
      this.#restart = undefined;
      void this.look();
    });
  }

  #onGone(part: Part): void {
    // What has done its work may be tidied away by whom it pleases.
    const isMissed = part.state !== 'failed' && !(part.once && part.state === 'stopped');
    if (isMissed) {
      const failure = new AgentError('container.not_found', { container: this.#container }).toFailure();
      const message = `The container of the ${nameOf(part)} is gone, and no task had removed it.`;
      this.#voice.tell(part, 'failed', { type: 'container.gone', message }, failure);
    }
  }

  async #inspect(signal: AbortSignal): Promise<ContainerFacts | undefined> {
    try {
      return await this.#means.engine.inspect(this.#container, signal);
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

  #part(): Part | undefined {
    const row = this.#means.journal.workload(this.#id);
    return row && partsOf(row).find(({ container }) => container === this.#container);
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

/** Of a stack its document says how the engine asks, else the image does. */
function ofImage({ service }: Part): string {
  return service === null ? 'of the image' : `of the service ${service}`;
}

function ranLong(facts: ContainerFacts | undefined): boolean {
  const { startedAt = null, finishedAt = null } = facts ?? {};
  return startedAt !== null && finishedAt !== null && Date.parse(finishedAt) - Date.parse(startedAt) >= stableMs;
}

/**
 * The log of a job as its readers want it: from its host while it is at work, and from what was kept of it after that; of the last
 * attempt, unless only an earlier one has left something. What a build says is read the same way, and is over before the job is.
 *
 *   wait ──▶ from its host ──▶ what was kept ──▶ the job has ended: end
 *    ▲ ▲            │                └── it is begun again: wait
 *    │ └────────────┘ another step, another container: what it says comes beside that of those that go on
 *    └── what was kept is on its way
 *
 * What its host says is as much as a reader could get of it before its containers went, so what was kept always has the last word.
 * A cursor says how far somebody is with either (`log-places.ts`), so each line comes once; of a job that is begun anew it is the
 * beginning.
 */
import { AgentError, type Failure } from '../../contract/failures.ts';
import { jobHasEnded, stepHasEnded } from '../../contract/job-state.ts';
import { stackCursor } from '../../contract/log-cursor.ts';
import type { Clock } from '../../kit/clock.ts';
import { Bell } from '../db/bell.ts';
import type { CollectionName } from '../db/collections.ts';
import type { Job, JobAttempt, JobNews } from '../db/entities/job.ts';
import type { Commit, Store } from '../db/store.ts';
import type { LogEnd, LogPart } from '../hub/log-relay.ts';
import type { LogReader } from '../instances/observation-routes.ts';
import type { OutputFiles } from '../job-outputs/output-files.ts';
import { fromKept, isLogOfBuild, type KeptLog, keptLog, type Lacking } from './kept-log.ts';
import { cursorOf, hostCursors, type LogPlaces, LogReading, readPlaces } from './log-places.ts';

export interface JobLogRequest {
  readonly jobId: string;
  /** Only what this step says; undefined for all of them, with their names. */
  readonly step: string | undefined;
  readonly cursor: string | null;
  readonly tail: number | null;
  readonly follow: boolean;
}

interface Parts {
  readonly store: Store;
  readonly logs: LogReader;
  readonly outputs: OutputFiles;
  readonly clock: Pick<Clock, 'pause' | 'monotonicMs'>;
}

/** How long nothing more of a log may come that is on its way here. */
const patienceMs = 60_000;
/** Nobody relies on it: a host whose word was lost is asked once more. */
const againMs = 30_000;

const watched = ['jobs', 'job_news', 'job_outputs'] as const satisfies readonly CollectionName[];

/** Ends with a failure where something is lacking, `log.incomplete` where it is of what was to be kept. */
export async function* readJobLog(
  parts: Parts,
  request: JobLogRequest,
  signal: AbortSignal,
): AsyncGenerator<LogPart, void, void> {
  const first = await lookAt(parts, request);
  const places = readPlaces(request.cursor, first?.steps ?? []);
  if (request.follow) yield* new Follower(parts, request, places, signal).parts();
  else yield* present(parts, request, { now: first, from: places }, signal);
}

interface Present {
  readonly job: Job;
  /** Ids of the job, in its order. */
  readonly steps: readonly string[];
  /** The last one. */
  readonly attempt: JobAttempt | undefined;
  /** The attempt has ended, as far as its steps are concerned, or the build has that is asked for: its host says no more of it. */
  readonly isOver: boolean;
  /** A step of the attempt has begun. */
  readonly isBegun: boolean;
  /** Attempt that what was kept is of: one of before, until this one leaves something. */
  readonly keptOf: number;
  /** What a build says is asked for. */
  readonly isBuild: boolean;
  readonly kept: KeptLog;
  readonly lacking: readonly Lacking[];
  /** Of the one that is asked for. */
  readonly step: JobNews['report']['steps'][number] | undefined;
  /** Changes when its host may have more to say. */
  readonly version: string;
  /** Changes with every step that is begun; empty before the first. */
  readonly begun: string;
}

async function lookAt({ store, outputs }: Parts, { jobId, step }: JobLogRequest): Promise<Present | undefined> {
  return await store.read(async (tx) => {
    const job = await tx.jobs.get(jobId);
    if (!job) return undefined;
    const news = await tx.job_news.get(jobId);
    const attempt = job.attempts.at(-1);
    const its = news?.attempt === attempt?.number ? news : undefined;
    const ahead = news?.ahead?.attempt === attempt?.number ? news?.ahead : undefined;
    const { report } = its ?? {};
    const state = report?.state ?? ahead?.state;
    const said = report?.steps.map(({ id, state, attempts, container_id }) => [id, state, attempts, container_id]);
    const { lacking, ...kept } = await keptLog(tx, outputs, job, step);
    const isBuild = step !== undefined && isLogOfBuild(job, step);
    const isTold = (its ?? ahead)?.outputs.some(({ name }) => name === `${step}.log`) === true;
    const hasEnded =
      jobHasEnded(job.state) || attempt?.ended_at != null || (report ? jobHasEnded(report.state) : false);
    return {
      ...{ job, attempt, kept, lacking, isBuild, isBegun: its !== undefined, steps: job.steps.map(({ id }) => id) },
      keptOf: keptAttempt({
        attempt,
        news,
        isOwn: its !== undefined || ((isBuild || kept.isOfBuild) && hasBuildLog(job, ahead)),
      }),
      isOver: hasEnded || (isBuild && (isTold || state === 'running')),
      step: report?.steps.find(({ id }) => id === step),
      version: JSON.stringify([attempt?.number, state, said]),
      begun: begunOf(news),
    };
  });
}

/** Of an attempt that has not begun, its host may have told what its build has said. */
function hasBuildLog(job: Job, ahead: JobNews['ahead']): boolean {
  return ahead?.outputs.some(({ name }) => isLogOfBuild(job, name.replace(/\.log$/, ''))) === true;
}

function keptAttempt({
  attempt,
  news,
  isOwn,
}: Pick<Present, 'attempt'> & { news: JobNews | undefined; isOwn: boolean }) {
  return (isOwn ? attempt?.number : (news?.attempt ?? attempt?.number)) ?? 0;
}

function begunOf(news: JobNews | undefined): string {
  const begun = news?.report.steps.filter(({ container_id }) => container_id !== null) ?? [];
  return begun.map(({ id }) => `${news?.attempt}/${id}`).join(' ');
}

/** What there is now. */
async function* present(
  parts: Parts,
  request: JobLogRequest,
  { now, from }: { readonly now: Present | undefined; readonly from: LogPlaces },
  signal: AbortSignal,
): AsyncGenerator<LogPart, void, void> {
  const { attempt } = now ?? {};
  if (!now || !attempt) return yield nothing(now, request);
  const places = placesIn(from, attempt.number);
  if (attempt.ended_at === null && !(now.isOver && now.lacking.length === 0)) {
    const said = yield* fromHost(parts, request, { ...now, attempt, places }, signal);
    if (!now.isOver) {
      if (said === undefined) return;
      // of an attempt that has not begun, what those before it have left is what there is.
      const isOfBefore = isUnknown(said) && !now.isBegun && !now.isBuild && now.kept.logs.length > 0;
      if (!isOfBefore) return yield endWith(now.isBuild && isUnknown(said) ? unsaid(request) : said);
    }
  }
  const kept = placesIn(from, now.keptOf);
  yield yield* fromWhatWasKept(now, { ...request, places: kept }, signal);
}

interface Begun extends Present {
  readonly attempt: JobAttempt;
}

/** One who reads on until the job is over, and there is no more to read. */
class Follower {
  readonly #parts: Parts;
  readonly #request: JobLogRequest;
  readonly #signal: AbortSignal;
  readonly #bell: Bell;
  #places: LogPlaces;
  /** Of attempts that were read before: what is kept of one is there again where the next was refused. */
  readonly #left = new Map<number, LogPlaces>();
  /** As its host was asked last. */
  #asked: string | undefined;
  #failure: Failure | null = null;
  /** Attempt of which is read what was kept, and what that came to. */
  #read: { readonly attempt: number; readonly verdict: LogEnd } | undefined;
  #arrived: { readonly bytes: number; readonly until: number } | undefined;

  constructor(parts: Parts, request: JobLogRequest, places: LogPlaces, signal: AbortSignal) {
    this.#parts = parts;
    this.#request = request;
    this.#signal = signal;
    this.#places = places;
    const isIts = ({ changed, about }: Commit) => about.has(request.jobId) && watched.some((name) => changed.has(name));
    this.#bell = new Bell(parts.store, parts.clock, isIts);
  }

  async *parts(): AsyncGenerator<LogPart, void, void> {
    try {
      while (!this.#signal.aborted) {
        this.#bell.reset();
        const now = await lookAt(this.#parts, this.#request);
        const { attempt } = now ?? {};
        if (!now || (!attempt && jobHasEnded(now.job.state))) return yield nothing(now, this.#request);
        const end = attempt ? yield* this.#next({ ...now, attempt }) : await this.#waits();
        if (end !== undefined) return yield end;
      }
    } finally {
      this.#bell.stop();
    }
  }

  /** Returns how it ends, and undefined where it goes on. */
  async *#next(now: Begun): AsyncGenerator<LogPart, LogEnd | undefined, void> {
    const { attempt, isBuild, isOver, job, keptOf } = now;
    const { attempt: before, steps } = this.#places;
    // What was kept of the attempt before is there until this one has left something.
    const isOfBefore = keptOf !== attempt.number;
    if (isOfBefore && before === keptOf && steps.size > 0 && this.#read?.attempt !== before && !isOver) {
      yield* fromWhatWasKept(now, this.#wanted(), this.#signal);
    }
    // One that was refused before it began has left nothing.
    this.#turnTo(isOfBefore && isOver ? keptOf : attempt.number);
    if (this.#read?.attempt === attempt.number) {
      return isBuild || jobHasEnded(job.state) ? this.#read.verdict : await this.#waits();
    }
    if (isOver) return yield* this.#kept(now);
    const said = yield* this.#said(now);
    return said === undefined ? undefined : endWith(said);
  }

  #turnTo(attempt: number): void {
    if (this.#places.attempt === attempt) return;
    this.#left.set(this.#places.attempt, this.#places);
    this.#places = this.#left.get(attempt) ?? placesIn(this.#places, attempt);
  }

  async *#kept(now: Begun): AsyncGenerator<LogPart, undefined, void> {
    const { clock } = this.#parts;
    const bytes = arrivingBytes(now.lacking);
    if (bytes !== this.#arrived?.bytes) {
      this.#arrived = bytes === undefined ? undefined : { bytes, until: clock.monotonicMs() + patienceMs };
    }
    const left = (this.#arrived?.until ?? 0) - clock.monotonicMs();
    if (this.#arrived && left > 0) return void (await this.#bell.rings(left, this.#signal));
    const verdict = yield* fromWhatWasKept(now, this.#wanted(), this.#signal);
    this.#read = { attempt: now.attempt.number, verdict };
    return undefined;
  }

  async *#said(now: Begun): AsyncGenerator<LogPart, Failure | null | undefined, void> {
    if (this.#failure !== null) return this.#failure;
    if (this.#asked === now.version) {
      if (!(await this.#bell.rings(againMs, this.#signal))) this.#asked = undefined;
      return undefined;
    }
    this.#asked = now.version;
    const said = yield* this.#fromHost(now);
    if (isStepOver(now) && (said === null || now.step?.started_at === null)) return said;
    // Where the attempt has ended meanwhile, what was kept is as good.
    this.#failure = said === undefined || isNothingYet(said) ? null : said;
    return undefined;
  }

  /** Of the steps that had begun when it was asked: with each that begins, its host is asked again for what all of them say. */
  async *#fromHost(now: Begun): AsyncGenerator<LogPart, Failure | null | undefined, void> {
    const over = new AbortController();
    const signal = AbortSignal.any([this.#signal, over.signal]);
    // Where nothing has begun it has nothing to say, and says so.
    const watching = now.begun === '' ? undefined : this.#anotherBegins(now, signal).finally(() => over.abort());
    watching?.catch(() => undefined);
    try {
      return yield* fromHost(this.#parts, this.#request, { ...now, places: this.#places }, signal);
    } finally {
      over.abort();
      await watching;
    }
  }

  async #anotherBegins({ begun, job }: Begun, signal: AbortSignal): Promise<void> {
    for (;;) {
      await this.#bell.rings(againMs, signal);
      if (signal.aborted) return;
      this.#bell.reset();
      if (begunOf(await this.#parts.store.read((tx) => tx.job_news.get(job.id))) !== begun) return;
    }
  }

  #wanted() {
    return { ...this.#request, places: this.#places };
  }

  async #waits(): Promise<undefined> {
    await this.#bell.rings(againMs, this.#signal);
    return undefined;
  }
}

interface AtHost extends Begun {
  readonly places: LogPlaces;
}

/** What its host says behind the places, and why it says no more; undefined where nobody reads any more. */
async function* fromHost(
  { logs }: Parts,
  { jobId, step, tail, follow }: JobLogRequest,
  { attempt, places, steps, ...now }: AtHost,
  signal: AbortSignal,
): AsyncGenerator<LogPart, Failure | null | undefined, void> {
  const source =
    step === undefined
      ? { kind: 'instance' as const, id: jobId }
      : { kind: 'service' as const, id: jobId, service: step };
  const cursors = hostCursors(places, step);
  const cursor = (step === undefined ? stackCursor(cursors) : cursors.get(step)) || null;
  const isTail = cursor === null && tail !== null && places.steps.size === 0;
  const reading = new LogReading(places, cursors.keys(), { isTail });
  const asked = { source, cursor, tail: isTail ? tail : null, follow: follow && !isStepOver(now) };
  for await (const part of logs.readLog(attempt.node_id, asked, signal)) {
    if (part.kind === 'end') return isOfNothing(part.failure) ? gone : part.failure;
    if (part.kind === 'gap') {
      yield part;
      continue;
    }
    const entries = part.entries.filter(
      ({ service = step ?? '', channel, time }) => channel !== 'task' && reading.takes(service, channel, time),
    );
    if (entries.length > 0) yield { kind: 'entries', cursor: cursorOf(places, steps), entries };
  }
  return undefined;
}

const gone = new AgentError('container.not_found').toFailure();

/** Of a job whose containers were taken away, its host does not know any more what a place in their log looked like. */
function isOfNothing(failure: Failure | null): boolean {
  return failure?.code === 'task.invalid' && failure.detail['path'] === '/cursor';
}

/** There is no container yet, or none any more. */
function isNothingYet(failure: Failure | null): boolean {
  return failure === null || isUnknown(failure);
}

function isUnknown(failure: Failure | null): boolean {
  return failure?.code === 'container.not_found' || failure?.code === 'service.not_found';
}

/** Its host has not begun with it, or its agent is one of before: that hands over all that a build has said at its end. */
function unsaid({ step: build = '' }: JobLogRequest): Failure {
  const reason = `${build}: Its host says nothing of it yet; where its agent is an older one, the log is here when the build is over.`;
  return new AgentError('log.incomplete', { reason, steps: [build] }).toFailure();
}

function isStepOver({ step }: Pick<Present, 'step'>): boolean {
  return step !== undefined && stepHasEnded(step.state);
}

/** What was kept behind the places, and what is to be said where it is not all. */
async function* fromWhatWasKept(
  { kept, lacking, steps, job, isBuild }: Present,
  { places, tail, step }: Pick<JobLogRequest, 'tail' | 'step'> & { readonly places: LogPlaces },
  signal: AbortSignal,
): AsyncGenerator<LogPart, LogEnd, void> {
  const isEmpty = kept.logs.length === 0 && places.steps.size === 0;
  const lost = yield* fromKept(kept, { places, tail, steps }, signal);
  const all = [...lacking, ...lost.map((step) => ({ step, reason: 'Not all of it can be read.' }))];
  if (all.length > 0) {
    const reason = all
      .map((each) => `${each.step}: ${each.reason}`)
      .join(' ')
      .slice(0, 1000);
    return endWith(new AgentError('log.incomplete', { reason, steps: all.map(({ step }) => step) }).toFailure());
  }
  if (!isEmpty) return endWith(null);
  return step === undefined ? noLog(job) : notThere(isBuild ? noBuild : 'No step of it was begun.');
}

/** Of all steps where there is none: no trouble of the log, but what has become of the job. */
function noLog({ id, needs, reason, attempts }: Job): LogEnd {
  const builds = needs.builds === true && attempts.length > 0;
  const parts = ['No step of the job was begun, as far as its host has said.', ...(builds ? [noBuild] : [])];
  const notice = [...parts, reason, `\`gpuaas jobs describe ${id}\` says what became of it.`].join(' ');
  return { kind: 'end', failure: null, notice };
}

const noBuild =
  'There is no log of a build: its image was there already, or its host could not keep the log or has not handed it over yet.';

/** Undefined where nothing more will come. */
function arrivingBytes(lacking: readonly Lacking[]): number | undefined {
  const arriving = lacking.flatMap(({ received }) => received ?? []);
  return arriving.length === 0 ? undefined : arriving.reduce((sum, bytes) => sum + bytes, 0);
}

function placesIn(places: LogPlaces, number: number): LogPlaces {
  return places.attempt === number ? places : { attempt: number, steps: new Map() };
}

function endWith(failure: Failure | null): LogEnd {
  return { kind: 'end', failure };
}

function nothing(now: Present | undefined, { step }: JobLogRequest): LogEnd {
  if (now && step === undefined && jobHasEnded(now.job.state)) return noLog(now.job);
  return notThere(now ? 'The job was not begun.' : 'The job was removed.');
}

function notThere(reason: string): LogEnd {
  return endWith(new AgentError('container.not_found', { reason }).toFailure());
}

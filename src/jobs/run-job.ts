/**
 * Carries a plan out to its end.
 *
 *   images, data ─▶ preflight ─▶ services ─▶ checks ─▶ init ─▶ steps ─▶ outputs ─▶ end (on disk) ─▶ receipt ─▶ clean-up
 *
 * Everything that is done is written down before and after, so a killed agent runs this again and each part goes on where it
 * was. A job ends in one of four ways and says why; what it has made is taken away in each of them, unless it is to be kept.
 */
import { AgentError, type Failure } from '../contract/failures.ts';
import type { JobPlan } from '../contract/job-plan.ts';
import { type JobState, jobHasEnded } from '../contract/job-state.ts';
import { labels } from '../contract/names.ts';
import type { Cleanup } from '../contract/workload-output.ts';
import { longPause } from '../kit/long-time.ts';
import { toItsEnd } from '../kit/to-its-end.ts';
import type { ContainerSummary } from '../runtime/engine.ts';
import { pendingCommands } from './command-reports.ts';
import { cleanUp, keepOutputs, signReceipt, watchCheckpoints } from './job-end.ts';
import type { JobGround } from './job-ground.ts';
import { freshStep, type KeptJob } from './job-record.ts';
import { judgeManifest, manifestEnd } from './judge-manifest.ts';
import { partsOf } from './parts.ts';
import { lookForFiles } from './preflight.ts';
import { prepareJob } from './prepare-job.ts';
import { runBefore, Services } from './run-beside.ts';
import { runSteps, skipSteps } from './run-steps.ts';
import { failureOf, RunningJob } from './running-job.ts';
import { JobLetGo } from './running-jobs.ts';
import { takeAway } from './take-away.ts';
import { watchEgress } from './watch-egress.ts';

export interface EndedJob {
  readonly job: KeptJob;
  readonly cleanup: Cleanup;
}

/** Resolves when the job has ended, however. Rejects where it was not begun, or where this process lets go of it. */
export async function runJob(plan: JobPlan, ground: JobGround): Promise<EndedJob> {
  const { jobs, taskId } = ground;
  const { job_id: id } = plan.identity;
  return await jobs.running.run(id, async (wanted) => {
    const known = jobs.records.get(id);
    const isResumed = known?.task_id === taskId;
    if (isResumed && jobHasEnded(known.record.state)) return await finish(new RunningJob(known, ground));
    if (!isResumed && ground.lacking !== undefined) throw ground.lacking;
    if (!isResumed) {
      await judgeManifest(plan, ground);
      await clear(plan, known, ground);
    }
    const room = await takeRoom(plan, ground);
    // What was begun is ended, also where it does not fit any more.
    if (room.failure && !isResumed) throw room.failure.cause;
    let job: RunningJob;
    try {
      job = isResumed ? new RunningJob(known, ground) : await beginNew(plan, ground, wanted);
      job.cards = room.cards;
      await carryOut(job, wanted, room.failure?.cause ?? (isResumed ? ground.lacking : undefined));
    } finally {
      room.release();
    }
    return await finish(job);
  });
}

/** Nothing is taken away for one that is refused its cards, cores or memory: it has them by now. */
async function beginNew(plan: JobPlan, ground: JobGround, wanted: AbortSignal): Promise<RunningJob> {
  const { room, records } = ground.jobs;
  const begin = () => {
    const job = new RunningJob(fresh(plan, ground), ground);
    records.begin(job.kept);
    return job;
  };
  if (!room) return begin();
  try {
    return await room.begin(plan, AbortSignal.any([wanted, ground.signal]), begin);
  } catch (error) {
    // Nothing of it is there that could hold its cards.
    ground.gpus.settle(plan.identity.job_id, []);
    throw error;
  }
}

interface TakenRoom {
  readonly cards: readonly string[];
  readonly failure: { readonly cause: unknown } | undefined;
  readonly release: () => void;
}

/** Cards, cores and memory, for as long as the job lasts: its containers come and go. */
async function takeRoom(plan: JobPlan, ground: JobGround): Promise<TakenRoom> {
  const { gpus, signal } = ground;
  const { identity, resources, gpu_memory_mib } = plan;
  const { job_id: id } = identity;
  try {
    const release = await ground.jobs.groups.reserve(plan, ground);
    try {
      const ask = { service: null, count: resources.gpu_count, memoryMib: gpu_memory_mib, sandbox: plan.sandbox };
      const leased = await gpus.lease(id, [ask], signal);
      return { cards: leased.get(null)?.uuids ?? [], failure: undefined, release };
    } catch (error) {
      release();
      throw error;
    }
  } catch (error) {
    return { cards: [], failure: { cause: error }, release: () => undefined };
  }
}

/** What another task has left of the job is taken away. */
async function clear(plan: JobPlan, known: KeptJob | undefined, { engine, jobs }: JobGround): Promise<void> {
  const { job_id, project_id } = plan.identity;
  if (known && known.plan.identity.project_id !== project_id) {
    const message = 'is not the project of this job';
    throw new AgentError('task.untrusted', {
      errors: [{ path: '/params/identity/project_id', code: 'other_project', message }],
    });
  }
  if (known && !jobHasEnded(known.record.state)) throw new AgentError('job.running', { job: job_id });
  jobs.scripts?.forget(job_id);
  const isThere = ({ labels: of }: ContainerSummary) => of[labels.instance] === job_id;
  // One that nobody remembers is begun anew: what its containers had done is not known any more.
  if (!known && !(await engine.list(toItsEnd())).some(isThere)) return;
  const { failed } = await takeAway(job_id, engine, toItsEnd());
  if (failed[0] !== undefined) throw new AgentError('name.conflict', { reason: failed[0] });
}

function fresh(plan: JobPlan, { taskId, fencing }: JobGround): KeptJob {
  const now = Date.now();
  return {
    ...{ job_id: plan.identity.job_id, task_id: taskId, fencing, plan },
    record: {
      ...{ state: 'queued', accepted_at: new Date(now).toISOString(), started_at: null, ended_at: null },
      ...{ deadline_at: now + plan.deadline_seconds * 1000, cancelled: false, failure: null, images: {}, inputs: {} },
      ...{ filled: [], outputs: [], receipt: null },
      steps: Object.fromEntries(
        partsOf(plan).map(({ id, script }) => [
          id,
          { ...freshStep(id), ...(script && { commands: pendingCommands(script) }) },
        ]),
      ),
    },
  };
}

/** Up to its end, which is on disk when this resolves. */
async function carryOut(job: RunningJob, wanted: AbortSignal, lacking: unknown): Promise<void> {
  const stop = stopOf(job, wanted);
  const over = new AbortController();
  let watching: Promise<void> | undefined;
  try {
    let trouble = lacking === undefined ? undefined : failureOf(lacking);
    trouble ??= await attempt(() => begin(job, stop.signal));
    const services = new Services(job);
    const shared = job.ground.jobs.groups.useOf(job);
    const signal = AbortSignal.any([stop.signal, services.failed, shared.failed]);
    watching = watchBeside(job, over.signal);
    trouble ??= await attempt(async () => {
      await lookForFiles(job, signal);
      await shared.join(signal);
      await services.start(signal);
      await runBefore(job, signal);
      await runSteps(job, signal);
      services.failed.throwIfAborted();
      shared.failed.throwIfAborted();
    });
    if (!stop.signal.aborted) skipSteps(job);
    // Also what an earlier life of the agent had begun, where this one did not get as far.
    await runSteps(job, AbortSignal.abort());
    await services.stop(stop.signal.aborted ? 'cancelled' : 'served');
    await shared.leave();
    over.abort();
    // What it has begun to keep is older than what is kept now.
    await watching;
    const lost = await keepOutputs(job);
    const { state, failure } = verdictOf(job, stop.signal, trouble ?? lost?.failure);
    // That says the same.
    if (lost && failure === lost.failure) job.unwarn({ kind: 'output', name: lost.name });
    job.move(state, { failure, ended_at: new Date().toISOString() });
    job.emit('job.ended', failure?.message ?? 'The job has succeeded.', { to: state, code: failure?.code ?? null });
  } finally {
    over.abort();
    stop.end();
    await watching;
  }
}

async function watchBeside(job: RunningJob, isOver: AbortSignal): Promise<void> {
  await Promise.all([watchCheckpoints(job, isOver), watchEgress(job, isOver)]);
}

async function begin(job: RunningJob, signal: AbortSignal): Promise<void> {
  const { ground, record } = job;
  ground.enter('pulling');
  // What an earlier life of the agent has told is not told again.
  if (record.state === 'queued') {
    job.move('preparing', { started_at: new Date().toISOString() });
    job.emit('job.preparing', 'Images and data of the job are fetched.');
  }
  signal.throwIfAborted();
  await prepareJob(job, signal);
  signal.throwIfAborted();
  const isNew = job.record.state === 'preparing';
  if (isNew) job.move('running');
  // Its containers come and go: as a workload it has been through these before it runs.
  for (const phase of ['creating', 'starting', 'running'] as const) ground.enter(phase);
  if (isNew) job.emit('job.running', 'The job runs.');
}

/** What went wrong; undefined if nothing did. */
async function attempt(work: () => Promise<void>): Promise<Failure | undefined> {
  try {
    await work();
    return undefined;
  } catch (error) {
    if (error instanceof JobLetGo) throw error;
    return failureOf(error);
  }
}

interface Stop {
  /** Aborts when the job is to end, with why: `job.cancelled`, `job.expired` or `manifest.expired`. */
  readonly signal: AbortSignal;
  end(): void;
}

function stopOf(job: RunningJob, wanted: AbortSignal): Stop {
  const { signal } = job.ground;
  const stop = new AbortController();
  const over = new AbortController();
  const cancel = () => {
    if (stop.signal.aborted) return;
    try {
      if (!job.record.cancelled) job.update({ cancelled: true });
      stop.abort(new AgentError('job.cancelled'));
    } catch (error) {
      stop.abort(error);
    }
  };
  const expire = () => stop.abort(new AgentError('job.expired', { deadline_seconds: job.plan.deadline_seconds }));
  const isOver = { once: true, signal: over.signal };
  wanted.addEventListener('abort', cancel, isOver);
  signal.addEventListener('abort', () => (isTimeout(signal) ? expire() : cancel()), isOver);
  if (job.record.cancelled || wanted.aborted) cancel();
  else if (signal.aborted) (isTimeout(signal) ? expire : cancel)();
  longPause(job.record.deadline_at - Date.now(), over.signal).then(expire, () => undefined);
  expireWithManifest(job, stop, over.signal);
  return { signal: stop.signal, end: () => over.abort() };
}

/** Nothing holds beyond what was promised: the job ends as at its deadline. */
function expireWithManifest({ plan, ground }: RunningJob, stop: AbortController, over: AbortSignal): void {
  const end = manifestEnd(plan);
  const { now = Date.now } = ground.jobs.trust ?? {};
  if (end === undefined) return;
  const reason = `It held until ${new Date(end).toISOString()}, and the job had not ended by then.`;
  longPause(end - now(), over).then(
    () => stop.abort(new AgentError('manifest.expired', { reason })),
    () => undefined,
  );
}

function isTimeout({ reason }: AbortSignal): boolean {
  return reason instanceof Error && reason.name === 'TimeoutError';
}

interface Verdict {
  readonly state: JobState;
  readonly failure: Failure | null;
}

function verdictOf({ plan, record }: RunningJob, stop: AbortSignal, trouble: Failure | undefined): Verdict {
  const failures = plan.steps.flatMap(({ id }) => record.steps[id]?.failure ?? []);
  const isDone = plan.steps.every(({ id }) => record.steps[id]?.state === 'succeeded');
  if (stop.aborted && !(isDone && !trouble)) {
    const failure = failureOf(stop.reason);
    return { state: failure.code === 'job.cancelled' ? 'cancelled' : 'expired', failure };
  }
  const failure = failures[0] ?? trouble;
  return failure ? { state: 'failed', failure } : { state: 'succeeded', failure: null };
}

/** What comes after the end: it may be repeated. */
async function finish(job: RunningJob): Promise<EndedJob> {
  const cleanup = await cleanUp(job, signReceipt(job));
  return { job: job.kept, cleanup };
}

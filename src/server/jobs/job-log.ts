/**
 * The log of a job as its followers want it: from its host while it is at work, and from what was kept of it after that; of the
 * last attempt, unless only an earlier one has left something.
 *
 * A cursor is `<attempt>.<time of the last entry>.<place at the host>`: a job that is begun anew is read from its beginning, and
 * what was kept goes on behind that time.
 */
import { AgentError, type Failure } from '../../contract/failures.ts';
import type { InstanceState } from '../../contract/instance-state.ts';
import { jobHasEnded, stepHasEnded } from '../../contract/job-state.ts';
import type { Clock } from '../../kit/clock.ts';
import type { Job, JobNews } from '../db/entities/job.ts';
import type { Store } from '../db/store.ts';
import type { LogPart, LogRequest } from '../hub/log-relay.ts';
import { followLog } from '../instances/follow-log.ts';
import type { LogReader } from '../instances/observation-routes.ts';
import type { OutputFiles } from '../job-outputs/output-files.ts';
import { presentAttempt } from './jobs-at-work.ts';
import { fromKept, keptLog } from './kept-log.ts';

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
  readonly clock: Pick<Clock, 'pause'>;
}

export function readJobLog(parts: Parts, request: JobLogRequest, signal: AbortSignal): AsyncGenerator<LogPart> {
  // Its host takes the containers of a job away when it is over, read to their end or not: what was kept then has the rest.
  let isWhole = false;
  const read = (cursor: string | null) =>
    readOnce(parts, { ...request, cursor }, signal, (fromKept) => {
      isWhole = fromKept;
    });
  if (!request.follow) return read(request.cursor);
  const state = () => stateOf(parts, request, () => isWhole);
  return followLog({ read, state, cursor: request.cursor, clock: parts.clock, signal });
}

async function* readOnce(
  parts: Parts,
  request: JobLogRequest,
  signal: AbortSignal,
  onSource: (isKept: boolean) => void,
): AsyncGenerator<LogPart> {
  onSource(false);
  const { jobId, step, tail, follow } = request;
  const job = await parts.store.read((tx) => tx.jobs.get(jobId));
  const attempt = job?.attempts.at(-1);
  const from = readCursor(request.cursor);
  if (job && !presentAttempt(job)) {
    const kept = await keptLog(parts, job, step);
    if (kept) {
      onSource(true);
      yield* fromKept(kept, { number: attempt?.number ?? 0, from, tail }, signal);
      return;
    }
  }
  if (!attempt) {
    yield { kind: 'end', failure: new AgentError('container.not_found', { reason: notYet(job) }).toFailure() };
    return;
  }
  const source = step === undefined ? { kind: 'instance' as const, id: jobId } : service(jobId, step);
  const cursor = from?.attempt === attempt.number ? from.place : null;
  const asked: LogRequest = { source, cursor, tail, follow };
  for await (const part of parts.logs.readLog(attempt.node_id, asked, signal)) {
    if (part.kind === 'entries') {
      yield { ...part, cursor: `${attempt.number}.${part.entries.at(-1)?.time}.${part.cursor}` };
    } else {
      yield part.kind === 'end' && isOfNothing(part.failure) ? { kind: 'end', failure: gone } : part;
    }
  }
}

const gone = new AgentError('container.not_found').toFailure();

/** Of a job whose containers were taken away, its host does not know any more what a place in their log looked like. */
function isOfNothing(failure: Failure | null): boolean {
  return failure?.code === 'task.invalid' && failure.detail['path'] === '/cursor';
}

interface Place {
  readonly attempt: number;
  /** RFC 3339. */
  readonly time: string;
  readonly place: string;
}

/** Undefined for the beginning, and for what is none. */
function readCursor(cursor: string | null): Place | undefined {
  const [, attempt, time, place] = /^(\d{1,4})\.([\dT:-]{19}(?:\.\d{1,9})?Z)\.(.*)$/.exec(cursor ?? '') ?? [];
  return time === undefined || place === undefined ? undefined : { attempt: Number(attempt), time, place };
}

function service(id: string, step: string) {
  return { kind: 'service' as const, id, service: step };
}

function notYet(job: Job | undefined): string {
  return job === undefined ? 'The job was removed.' : 'The job was not begun yet.';
}

/** In the words of instances, by which it is decided whether something may come yet. */
async function stateOf(
  parts: Parts,
  { jobId, step }: JobLogRequest,
  isWhole: () => boolean,
): Promise<InstanceState | undefined> {
  const { job, news } = await parts.store.read(async (tx) => ({
    job: await tx.jobs.get(jobId),
    news: await tx.job_news.get(jobId),
  }));
  if (!job) return undefined;
  if (jobHasEnded(job.state)) {
    const isRead = isWhole() || presentAttempt(job) || !(await keptLog(parts, job, step));
    return isRead ? 'stopped' : 'deploying';
  }
  return isOver(job, news, step) ? 'stopped' : 'deploying';
}

function isOver(job: Job, news: JobNews | undefined, step: string | undefined): boolean {
  const said = news?.report.steps.find(({ id }) => id === step);
  return said !== undefined && news?.attempt === job.attempts.at(-1)?.number && stepHasEnded(said.state);
}

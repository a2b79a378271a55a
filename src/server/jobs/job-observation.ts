/** `/api/v1/jobs/{id}/logs|flow-state`: looking into what a job does. */
import { Readable } from 'node:stream';
import { Type } from 'typebox';
import type { JobReport } from '../../contract/job-report.ts';
import { StreamedEntry } from '../../contract/session-messages.ts';
import type { Clock } from '../../kit/clock.ts';
import { readJob } from '../../manifests/job-dialects.ts';
import type { Job, JobNews } from '../db/entities/job.ts';
import type { ReadTx, Store } from '../db/store.ts';
import { everybody, found } from '../http/access.ts';
import { pathOf } from '../http/lists.ts';
import { type Route, route } from '../http/route.ts';
import { Seats, seated } from '../http/seats.ts';
import { type LogAnswers, logStart } from '../instances/log-answers.ts';
import type { LogReader } from '../instances/observation-routes.ts';
import { outputsOf } from '../job-outputs/keep-outputs.ts';
import type { OutputFiles } from '../job-outputs/output-files.ts';
import { stepNamed } from '../job-outputs/step-names.ts';
import { readJobLog } from './job-log.ts';
import { visibleJob } from './job-routes.ts';
import { untoldStep } from './job-view.ts';
import { stepLogs } from './step-logs.ts';

export interface JobObservationOptions {
  readonly store: Store;
  readonly logs: LogReader;
  readonly answers: LogAnswers;
  readonly outputs: OutputFiles;
  readonly clock: Clock;
}

/** With the end of each log, one is megabytes until it is sent. */
const flowStates = { what: 'flow states', all: 32, each: 8 } as const;
const pieceBytes = 16 * 1024;

const closed = { additionalProperties: false } as const;
const one = { params: pathOf('job_id', 'The job.'), tag: 'jobs', allow: everybody } as const;
const base = '/api/v1/jobs/{job_id}';

const LogsQuery = Type.Object(
  {
    step: Type.Optional(
      Type.String({
        ...{ minLength: 1, maxLength: 128 },
        description:
          'Only of this step, by its id or by what its author calls it, or of a service or check whose log was kept, by its id; `build` for what the build of its image says; that of all, with their names, if absent.',
      }),
    ),
    ...logStart,
    follow: Type.Optional(
      Type.Boolean({ description: 'True to wait for what comes, until the job or the step is over.' }),
    ),
  },
  closed,
);

export function jobObservationRoutes(options: JobObservationOptions): Route[] {
  const { store, answers } = options;
  const seats = new Seats(flowStates);
  return [
    route({
      ...{ method: 'GET', path: `${base}/logs`, ...one, query: LogsQuery },
      summary: 'Log entries as server-sent events: `entries`, `gap` where some are missing, `end`. The id is a cursor.',
      answer: Type.Array(StreamedEntry),
      stream: async ({ who, params: { job_id: jobId }, query, headers, signal: over }) => {
        const step = await store.read(async (tx) => {
          const job = await visibleJob(tx, who, jobId);
          return query.step && found('step of the job', query.step, await partNamed(tx, job, query.step));
        });
        return answers.answer({ who, query, headers, signal: over }, (start, signal) =>
          readJobLog(options, { ...start, jobId, step }, signal),
        );
      },
    }),
    route({
      ...{ method: 'GET', path: `${base}/flow-state`, ...one, produces: 'application/json' },
      summary: 'A job as the tools of the network read it that its document was written for, with the end of each log.',
      answer: Type.Unknown({ description: 'The state of a flow; what that is, that network says.' }),
      stream: async ({ who, params: { job_id: id } }) => {
        const { job, document, news } = await store.read(async (tx) => ({
          job: await visibleJob(tx, who, id),
          document: (await tx.job_documents.get(id))?.document,
          news: await tx.job_news.get(id),
        }));
        const read = readJob(job.dialect, document);
        const flowState = found('flow state of job', id, read.ok ? read.flowState : undefined);
        const body = await seated(seats.take(who), async () => {
          const state = flowState(reportOf(job, news), job.created_at, await stepLogs(options, job));
          return Readable.from(piecesOf(Buffer.from(JSON.stringify(state))));
        });
        return { contentType: 'application/json; charset=utf-8', body };
      },
    }),
  ];
}

/** So that the body is there until it is sent, but for the last piece. */
function* piecesOf(bytes: Buffer): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes);
}

/** The job as it stands here: its host may have said nothing yet, or nothing any more. */
function reportOf({ state, reason, failure, started_at, ended_at, steps }: Job, news: JobNews | undefined): JobReport {
  return {
    ...{ state, summary: reason, failure, started_at, ended_at },
    steps: news?.report.steps ?? steps.map(({ id }) => ({ ...untoldStep(state), id })),
  };
}

/** Id of a step; services, checks and init are known here by the logs that were kept of them, what its host builds by its name. */
async function partNamed(tx: ReadTx, job: Job, name: string): Promise<string | undefined> {
  const step = stepNamed(job, name);
  if (step) return step.id;
  if (name === 'build' && job.needs.builds === true) return name;
  const kept = await outputsOf(tx, job.id);
  return kept.some((output) => output.kind === 'log' && output.name === `${name}.log`) ? name : undefined;
}

/** `/api/v1/jobs/{id}/logs|flow-state`: looking into what a job does. */
import { Readable } from 'node:stream';
import { Type } from 'typebox';
import { ServiceName } from '../../contract/compose-document.ts';
import type { JobReport } from '../../contract/job-report.ts';
import { maxCursor, StreamedEntry } from '../../contract/session-messages.ts';
import type { Clock } from '../../kit/clock.ts';
import { readJob } from '../../manifests/job-dialects.ts';
import type { Job } from '../db/entities/job.ts';
import type { Store } from '../db/store.ts';
import { everybody, found } from '../http/access.ts';
import { pathOf } from '../http/lists.ts';
import { type Route, route } from '../http/route.ts';
import { Seats } from '../http/seats.ts';
import { type LogReader, logMessages } from '../instances/observation-routes.ts';
import type { OutputFiles } from '../job-outputs/output-files.ts';
import { readJobLog } from './job-log.ts';
import { visibleJob } from './job-routes.ts';
import { untoldStep } from './job-view.ts';

export interface JobObservationOptions {
  readonly store: Store;
  readonly logs: LogReader;
  readonly outputs: OutputFiles;
  readonly clock: Clock;
}

const closed = { additionalProperties: false } as const;
const one = { params: pathOf('job_id', 'The job.'), tag: 'jobs', allow: everybody } as const;
const base = '/api/v1/jobs/{job_id}';
/** A reader and the host behind it cost memory each. */
const readers = { what: 'logs', all: 200, each: 50 } as const;

const LogsQuery = Type.Object(
  {
    step: Type.Optional({
      ...ServiceName,
      description: 'Only of this step; that of all, with their names, if absent.',
    }),
    tail: Type.Optional(
      Type.Integer({ minimum: 0, maximum: 100_000, description: 'Last entries, of each step; all if absent.' }),
    ),
    cursor: Type.Optional(
      Type.String({
        maxLength: maxCursor,
        description: 'Go on behind this entry. `Last-Event-ID` says the same and wins.',
      }),
    ),
    follow: Type.Optional(
      Type.Boolean({ description: 'True to wait for what comes, until the job or the step is over.' }),
    ),
  },
  closed,
);

export function jobObservationRoutes(options: JobObservationOptions): Route[] {
  const { store } = options;
  const seats = new Seats(readers);
  return [
    route({
      ...{ method: 'GET', path: `${base}/logs`, ...one, query: LogsQuery },
      summary: 'Log entries as server-sent events: `entries`, `gap` where some are missing, `end`. The id is a cursor.',
      answer: Type.Array(StreamedEntry),
      stream: async ({ who, params: { job_id: jobId }, query, headers, signal: over }) => {
        const job = await store.read((tx) => visibleJob(tx, who, jobId));
        const { step, tail = null, follow = false } = query;
        if (step !== undefined)
          found(
            'step of the job',
            step,
            job.steps.find(({ id }) => id === step),
          );
        const last = headers['last-event-id'];
        const cursor = (typeof last === 'string' && last !== '' ? last.slice(0, maxCursor) : query.cursor) ?? null;
        const seat = seats.take(who);
        const signal = AbortSignal.any([over, seat.lost]);
        const body = Readable.from(logMessages(readJobLog(options, { jobId, step, cursor, tail, follow }, signal)));
        body.once('close', seat.leave);
        return { contentType: 'text/event-stream; charset=utf-8', body };
      },
    }),
    route({
      ...{ method: 'GET', path: `${base}/flow-state`, ...one },
      summary: 'A job as the tools of the network read it that its document was written for, without its logs.',
      answer: Type.Unknown({ description: 'The state of a flow; what that is, that network says.' }),
      read: async ({ who, params: { job_id: id } }, tx) => {
        const job = await visibleJob(tx, who, id);
        const { document } = found('document of job', id, await tx.job_documents.get(id));
        const read = readJob(job.dialect, document);
        const flowState = read.ok ? read.flowState : undefined;
        const report = (await tx.job_news.get(id))?.report ?? untold(job);
        return found(
          'flow state of job',
          id,
          flowState?.({ ...report, state: job.state }, job.created_at, () => []),
        );
      },
    }),
  ];
}

/** Before its host has said anything. */
function untold({ state, reason, failure, started_at, ended_at, steps }: Job): JobReport {
  return {
    ...{ state, summary: reason, failure, started_at, ended_at },
    steps: steps.map(({ id }) => ({ ...untoldStep(state), id })),
  };
}

/** What launch, control and remove of a job answer. */
import { type Static, Type } from 'typebox';
import { bounds } from './bounds.ts';
import { Failure } from './failures.ts';
import { KeptOutput, maxOutputs } from './job-outputs.ts';
import { maxReceiptLength } from './job-receipt.ts';
import { JobReport } from './job-report.ts';
import { JobState } from './job-state.ts';
import { StepId } from './job-values.ts';
import { Cleanup, WorkloadEvent } from './workload-output.ts';

const closed = { additionalProperties: false } as const;

export const JobEndpoint = Type.Object(
  {
    step: StepId,
    name: Type.String({ maxLength: 64, description: 'Name of the endpoint within the job, as `web-8080`.' }),
    protocol: Type.Enum(['http', 'tcp'], { description: 'What is spoken there.' }),
    host: Type.Literal('127.0.0.1', { description: 'Always the loopback address of the host.' }),
    port: Type.Integer({ minimum: 1, maximum: 65_535, description: 'Port on that address, chosen by the host.' }),
    container_port: Type.Integer({ minimum: 1, maximum: 65_535, description: 'Port that the step listens on.' }),
    url: Type.Union([Type.String({ maxLength: 64 }), Type.Null()], {
      description: 'URL on the host, for http endpoints.',
    }),
  },
  { ...closed, description: 'Where a step answers while it runs.' },
);
export type JobEndpoint = Static<typeof JobEndpoint>;

/** Most endpoints that are told of a job; it may have more of them. */
export const maxEndpoints = 512;

/** What changes while a job is at work, as it is told to whoever follows it. */
export const jobProgress = {
  endpoints: Type.Array(JobEndpoint, { maxItems: maxEndpoints, description: 'Where its steps answer now.' }),
  outputs: Type.Array(KeptOutput, { maxItems: maxOutputs, description: 'What is kept of it so far.' }),
};

export const JobTaskOutput = Type.Object(
  {
    state: Type.Union([JobState, Type.Null()], { description: 'State of the job; null where nothing is known of it.' }),
    summary: Type.String({
      maxLength: bounds.message * 2,
      description: 'One sentence for people about how it stands.',
    }),
    report: Type.Union([JobReport, Type.Null()], {
      description: 'The job and each of its steps; null where nothing is known of it.',
    }),
    ...jobProgress,
    receipt: Type.Union([Type.String({ maxLength: maxReceiptLength }), Type.Null()], {
      description:
        'Receipt that the node has signed, as a compact JWS; null before its end, and of a host without a node key.',
    }),
    events: Type.Array(WorkloadEvent, { description: 'What happened during the task, oldest first, bounded.' }),
    failure: Type.Union([Failure, Type.Null()], { description: 'Why the task did not succeed; null if it did.' }),
    cleanup: Type.Union([Cleanup, Type.Null()], {
      description: 'What was removed, kept and could not be removed; null if nothing was to be.',
    }),
  },
  { ...closed, description: 'The job after the task.' },
);
export type JobTaskOutput = Static<typeof JobTaskOutput>;

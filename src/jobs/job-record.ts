/** What is known of a job on its host. On disk before anything builds on it, so that a killed agent goes on where it was. */

import type { Failure } from '../contract/failures.ts';
import { type JobEndpoint, maxEndpoints } from '../contract/job-output.ts';
import type { KeptOutput } from '../contract/job-outputs.ts';
import type { JobPlan } from '../contract/job-plan.ts';
import type { CheckReport, JobReport, JobWarning, StepReport } from '../contract/job-report.ts';
import { type JobState, jobHasEnded } from '../contract/job-state.ts';
import type { RecordBody } from '../contract/records.ts';
import type { ProvidedInput } from './inputs/job-inputs.ts';

/** A port of a step, and where it is published while the step runs. */
export interface PublishedPort {
  readonly name: string;
  readonly protocol: 'http' | 'tcp';
  readonly container_port: number;
  readonly host_port: number;
}

/** One container of a job: a step, a service, a check or an init step. */
export interface StepRecord extends StepReport {
  /** Of its present container. */
  readonly ports: readonly PublishedPort[];
  /** True once its checks have passed, until its end. */
  readonly ready: boolean;
  /** Restarts by a check that did not pass. */
  readonly unhealthy: number;
  /** Why its container is being stopped; null where nobody does. */
  readonly ending: 'timed_out' | 'cancelled' | 'served' | 'unhealthy' | null;
  /** The engine's time of the latest start that is known; a container with another one was started since. */
  readonly run_started_at: string | null;
  /** True from the decision to start it until that is known to have happened. */
  readonly starting: boolean;
  /** Of a service: restarts by its policy in a row, since it was last well for a while. */
  readonly retries?: number;
  /** Of a check that has ended: the end of what it has said. */
  readonly said?: string;
  /** Of a step with a script: the command that was begun and has not ended; null where there is none. */
  readonly at_work?: CommandAtWork | null;
  /** Why the first command that failed has failed. */
  readonly command_failure?: Failure;
}

export interface CommandAtWork {
  readonly index: number;
  /** How the engine calls it; null before it is made. */
  readonly exec: string | null;
  /** Milliseconds since 1970. */
  readonly began_at: number;
}

/** Of a part that nobody has begun. */
export function freshStep(id: string): StepRecord {
  return {
    ...{ id, state: 'pending', started_at: null, ended_at: null, attempts: 0, container_id: null, exit_code: null },
    ...{ signal: null, oom_killed: false, results: {}, failure: null, ports: [], ready: false, unhealthy: 0 },
    ...{ ending: null, run_started_at: null, starting: false },
  };
}

/** Something that an image has to have, once it was looked for. */
export interface LookedFor {
  /** In `preflight` of the plan. */
  readonly index: number;
  /** Why it is not there; null where it is. */
  readonly reason: string | null;
  /** RFC 3339 time of the end of the look. */
  readonly at: string;
  readonly duration_ms: number;
}

export interface JobRecord {
  readonly state: JobState;
  /** RFC 3339. */
  readonly accepted_at: string;
  readonly started_at: string | null;
  readonly ended_at: string | null;
  /** Milliseconds since 1970 by the clock of the host. */
  readonly deadline_at: number;
  /** True once somebody wants it to end. */
  readonly cancelled: boolean;
  readonly failure: Failure | null;
  /** By id, also those that are not among the steps of the report. */
  readonly steps: Readonly<Record<string, StepRecord>>;
  /** Engine's id of each image that was pulled, by its id in the plan. */
  readonly images: Readonly<Record<string, string>>;
  /** Version of the engine that has built an image, by its id in the plan. */
  readonly builders?: Readonly<Record<string, string>>;
  /** By id. */
  readonly inputs: Readonly<Record<string, ProvidedInput>>;
  readonly outputs: readonly KeptOutput[];
  /** What could not be fetched or kept; absent where nothing was. */
  readonly warnings?: readonly JobWarning[];
  /** Volumes that inputs were put into for containers that may write there. */
  readonly filled: readonly string[];
  /** Absent until it was looked for. */
  readonly preflight?: readonly LookedFor[];
  /** True while it has its addresses in the network of services that it shares. */
  readonly has_place?: boolean;
  /** How far the log of its proxy was told; absent where nothing of it was. */
  readonly egress_cursor?: string | undefined;
  /** Compact JWS, once it has ended and those who wait for it are to know that. */
  readonly receipt: string | null;
}

export interface KeptJob {
  readonly job_id: string;
  /** The launch that carries it out, or has. */
  readonly task_id: string;
  readonly fencing: number;
  /** Secrets in it are sealed. */
  readonly plan: JobPlan;
  readonly record: JobRecord;
}

export interface JobRecords {
  get(job: string): KeptJob | undefined;
  /** The same without the results of its steps, which may be large. */
  outline(job: string): KeptJob | undefined;
  /** Names of the results that were found, by step. */
  resultsOf(job: string): ReadonlyMap<string, readonly string[]>;
  all(): readonly KeptJob[];
  /** Replaces what was known of it. */
  begin(job: KeptJob): void;
  /**
   * Replaces the record of a job that was begun, and tells whoever follows it from afar how it stands: both or none. What is the
   * same object in `before`, as it was put the last time, is not written again.
   */
  put(job: string, record: JobRecord, before?: JobRecord): void;
  remove(job: string): void;
}

export type JobReportBody = RecordBody<'job.report'>;

/** How a job stands, whole, as its followers are told. */
export function jobReport(job: KeptJob): JobReportBody {
  const { job_id: workload_id, task_id, record } = job;
  return {
    ...{ workload_id, task_id, report: boundedReport(job) },
    ...{ endpoints: endpointsOf(job), outputs: [...record.outputs] },
    ...(record.receipt === null ? {} : { receipt: record.receipt }),
  };
}

/** The report of a record, in the order of the plan. */
function reportOf({ plan, record }: Pick<KeptJob, 'plan' | 'record'>): JobReport {
  const { state, started_at, ended_at, failure, steps, warnings = [] } = record;
  const checks = checkReports(plan, record);
  const inputs = plan.inputs.flatMap(({ id }) => {
    const provided = record.inputs[id];
    return provided ? [{ id, sha256: provided.sha256, commit: provided.commit ?? null }] : [];
  });
  return {
    ...{ state, summary: summaryOf(plan, record), started_at, ended_at, failure },
    ...(checks.length > 0 && { checks }),
    ...(inputs.length > 0 && { inputs }),
    ...(warnings.length > 0 && { warnings: [...warnings] }),
    steps: plan.steps.flatMap(({ id }) => {
      const step = steps[id];
      return step ? [stepReport(step)] : [];
    }),
  };
}

function stepReport(step: StepRecord): StepReport {
  const { id, state, started_at, ended_at, attempts, container_id, exit_code, signal } = step;
  const { oom_killed, results, failure, commands } = step;
  return {
    ...{ id, state, started_at, ended_at, attempts, container_id, exit_code, signal, oom_killed, results },
    ...(commands && { commands }),
    failure,
  };
}

/** Of every check, in the order in which they are done. */
function checkReports(
  { preflight = [], checks }: JobPlan,
  { state, steps, preflight: looked = [] }: JobRecord,
): CheckReport[] {
  const isOver = jobHasEnded(state);
  const untold = isOver ? ('skipped' as const) : ('pending' as const);
  return [
    ...preflight.map(({ type: kind, name: id }, index): CheckReport => {
      const found = looked.find((each) => each.index === index);
      const { reason = null, duration_ms = null } = found ?? {};
      const stands = found ? (reason === null ? 'passed' : 'failed') : untold;
      return { kind, id, label: null, state: stands, reason, duration_ms, output: null };
    }),
    ...checks.map(({ id, label = null }): CheckReport => {
      const step = steps[id];
      const stands = step && checkStates[step.state];
      const took = step?.started_at && step.ended_at ? Date.parse(step.ended_at) - Date.parse(step.started_at) : null;
      return {
        ...{ kind: 'command', id, label, state: stands === undefined || stands === 'pending' ? untold : stands },
        ...{ reason: step?.failure?.message ?? null, duration_ms: took === null ? null : Math.max(0, took) },
        output: step?.said ?? null,
      };
    }),
  ];
}

const checkStates: { readonly [S in StepReport['state']]: CheckReport['state'] } = {
  ...{ pending: 'pending', waiting: 'pending', running: 'running', succeeded: 'passed', failed: 'failed' },
  ...{ timed_out: 'failed', skipped: 'skipped', cancelled: 'skipped' },
};

/** Bytes of a report that travels in one message with other things. */
export const mostReportBytes = 384 * 1024;

/** The same without the results and the outputs of checks and commands, and where need be without warnings and details of failures, that a message has no room for. */
export function boundedReport(job: Pick<KeptJob, 'plan' | 'record'>): JobReport {
  const report = reportOf(job);
  const fits = (each: JobReport) => Buffer.byteLength(JSON.stringify(each)) <= mostReportBytes;
  if (fits(report)) return report;
  const short = {
    ...report,
    ...(report.checks && { checks: report.checks.map((check) => ({ ...check, output: null })) }),
    steps: report.steps.map((step) => ({
      ...{ ...step, results: {} },
      ...(step.commands && { commands: step.commands.map(({ stdout: _out, stderr: _err, ...command }) => command) }),
    })),
  };
  if (fits(short)) return short;
  const { warnings: _warnings, ...rest } = short;
  const plain = (failure: Failure | null) => failure && { ...failure, detail: {} };
  return {
    ...{ ...rest, failure: plain(short.failure) },
    steps: short.steps.map((step) => ({ ...step, failure: plain(step.failure) })),
  };
}

function summaryOf({ steps }: JobPlan, { state, steps: known, failure }: JobRecord): string {
  const count = (wanted: StepReport['state']) => steps.filter(({ id }) => known[id]?.state === wanted).length;
  const done = `${count('succeeded')} of ${steps.length} ${steps.length === 1 ? 'step has' : 'steps have'} succeeded`;
  switch (state) {
    case 'queued':
      return 'The job waits to be prepared.';
    case 'preparing':
      return 'Images and data of the job are fetched.';
    case 'running':
      return `The job runs: ${done}, ${count('running')} at work.`;
    case 'succeeded':
      return `The job has succeeded: ${done}.`;
    default:
      return `${failure?.message ?? `The job is ${state}.`} ${done}.`.replace(/^./, (first) => first.toUpperCase());
  }
}

/** Where its steps and services answer now: nothing answers before the container is known to have been started. */
export function endpointsOf({ record }: Pick<KeptJob, 'record'>): JobEndpoint[] {
  return Object.values(record.steps)
    .filter(({ state, starting }) => state === 'running' && !starting)
    .flatMap(({ id: step, ports }) =>
      ports.map(({ name, protocol, container_port, host_port: port }) => ({
        ...{ step, name, protocol, host: '127.0.0.1' as const, port, container_port },
        url: protocol === 'http' ? `http://127.0.0.1:${port}/` : null,
      })),
    )
    .slice(0, maxEndpoints);
}

/** Ids of all that has, or has had, a container; undefined for no job. */
export function startedParts(job: KeptJob | undefined): string[] | undefined {
  return job && Object.values(job.record.steps).flatMap(({ id, container_id }) => (container_id === null ? [] : [id]));
}

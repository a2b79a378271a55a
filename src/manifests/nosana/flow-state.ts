/** A job as those know it who wrote its definition for the other network: the state of a flow, in the shape that their tools read. */
import type { Failure } from '../../contract/failures.ts';
import type { JobReport, StepReport } from '../../contract/job-report.ts';
import type { StreamedEntry } from '../../contract/session-messages.ts';
import type { JobDefinition, Op } from './definition.ts';
import { stepIds } from './step-ids.ts';

/** What a step has printed, as far as it is to be shown. */
export interface StepLog {
  readonly entries: readonly Pick<StreamedEntry, 'time' | 'channel' | 'text'>[];
  /** What is missing before them, and why, as a sentence; null where nothing is. */
  readonly missing: string | null;
}

interface FlowLog {
  readonly type: 'stdout' | 'stderr' | 'nodeerr';
  readonly log: string;
  readonly timestamp: string;
}

type Status = 'init' | 'running' | 'success' | 'failed' | 'stopped' | 'expired';

interface FlowState {
  readonly status: Status;
  /** Milliseconds since 1970, as all times here. */
  readonly startTime: number;
  readonly endTime: number | null;
  readonly errors: readonly object[];
  readonly opStates: readonly OpState[];
}

interface OpState {
  readonly operationId: string;
  readonly group: string | null;
  readonly providerId: string | null;
  readonly status: Status | null;
  readonly startTime: number | null;
  readonly endTime: number | null;
  readonly exitCode: number | null;
  readonly logs: readonly FlowLog[];
  readonly results?: Readonly<Record<string, string | readonly string[]>>;
  readonly error?: { readonly event: string; readonly message: string };
  readonly diagnostics: {
    readonly reason: { readonly hostShutDown: boolean; readonly jobStopped: boolean; readonly jobExpired: boolean };
  };
}

const ofJob: Record<JobReport['state'], Status> = {
  ...{ queued: 'init', preparing: 'init', running: 'running', succeeded: 'success' },
  ...{ failed: 'failed', cancelled: 'stopped', expired: 'expired' },
};
const ofStep: Record<StepReport['state'], Status | null> = {
  ...{ pending: null, waiting: 'init', running: 'running', succeeded: 'success' },
  ...{ failed: 'failed', timed_out: 'failed', cancelled: 'stopped', skipped: 'stopped' },
};

/** `queuedAt`: RFC 3339, where it was not started yet. */
export function flowStateOf(
  definition: JobDefinition,
  report: JobReport,
  queuedAt: string,
  logOf: (step: string) => StepLog,
): FlowState {
  const ids = stepIds(definition.ops.filter(({ type }) => type === 'container/run').map(({ id }) => id));
  const steps = new Map(report.steps.map((step) => [step.id, step]));
  const status = ofJob[report.state];
  return {
    status,
    startTime: Date.parse(report.started_at ?? queuedAt),
    endTime: millis(report.ended_at),
    errors: report.failure === null ? [] : [errorOf(report.failure)],
    opStates: definition.ops.map((op) => {
      const id = ids.get(op.id);
      const step = id === undefined ? undefined : steps.get(id);
      return id === undefined || step === undefined ? volumeState(op, report) : opStateOf(op, step, report, logOf(id));
    }),
  };
}

function opStateOf(op: Op, step: StepReport, report: JobReport, log: StepLog): OpState {
  const results = Object.entries(step.results).map(([name, found]) => [name, found.length === 1 ? found[0] : found]);
  return {
    ...{ operationId: op.id, group: op.execution?.group ?? null, providerId: step.container_id },
    ...{ status: ofStep[step.state], startTime: millis(step.started_at), endTime: millis(step.ended_at) },
    ...{ exitCode: step.exit_code, logs: logsOf(step, log) },
    ...(results.length > 0 && { results: Object.fromEntries(results) }),
    ...(step.failure && { error: errorOf(step.failure) }),
    diagnostics: reasonOf(report),
  };
}

/** What is missing is said where their node says what it has to say itself. */
function logsOf({ started_at, ended_at }: StepReport, { entries, missing }: StepLog): FlowLog[] {
  const timestamp = entries[0]?.time ?? ended_at ?? started_at ?? '';
  return [
    ...(missing === null ? [] : [{ type: 'nodeerr' as const, log: missing, timestamp }]),
    ...entries.map(({ time, channel, text }) => ({
      ...{ type: channel === 'task' ? ('nodeerr' as const) : channel, log: text, timestamp: time },
    })),
  ];
}

/** A volume is there from the beginning. */
function volumeState(op: Op, report: JobReport): OpState {
  const at = millis(report.started_at);
  return {
    ...{ operationId: op.id, group: op.execution?.group ?? null, providerId: null, logs: [] },
    ...{
      status: at === null ? null : ('success' as const),
      startTime: at,
      endTime: at,
      exitCode: at === null ? null : 0,
    },
    diagnostics: reasonOf(report),
  };
}

function reasonOf({ state, failure }: JobReport): OpState['diagnostics'] {
  const hostShutDown = failure?.code.startsWith('node.') ?? false;
  return { reason: { hostShutDown, jobStopped: state === 'cancelled', jobExpired: state === 'expired' } };
}

/** What their tools tell apart, by the beginning of our code. */
function errorOf({ code, message }: Failure): { event: string; message: string } {
  const [area = ''] = code.split('.');
  const events: Record<string, string> = {
    ...{ image: 'image-pull-error', input: 'resource-error', engine: 'container-runtime-error' },
    container: 'container-runtime-error',
  };
  return { event: events[area] ?? 'operation-error', message: `${message} [${code}]` };
}

function millis(time: string | null): number | null {
  return time === null ? null : Date.parse(time);
}

/**
 * Carries Nosana job definitions out on a host of the test's own: translated by the dialect, run by the agent's own
 * dispatcher, through the gate, on the real engine. What a job that has ended left on the engine is an error, unless it was
 * to be kept.
 */
import { expect } from 'vitest';
import type { JobTaskOutput } from '../../src/contract/job-output.ts';
import type { JobPlan } from '../../src/contract/job-plan.ts';
import type { JobReport, StepReport } from '../../src/contract/job-report.ts';
import { containerName, namePrefix } from '../../src/contract/names.ts';
import type { RecordBody } from '../../src/contract/records.ts';
import type { TaskResult } from '../../src/contract/task-envelope.ts';
import { engineCall } from './engine-call.ts';
import { eventually } from './eventually.ts';
import { inspectRaw, type RawContainer } from './looking.ts';
import { planFor, type Wish } from './nosana-jobs.ts';
import { openTestHost, type TestHost, type TestHostOptions } from './test-host.ts';

export interface EndedJob {
  readonly id: string;
  readonly result: TaskResult;
  readonly output: JobTaskOutput;
  readonly report: JobReport;
  step(op: string): StepReport;
  /** Lines that an op has printed. */
  said(op: string): readonly string[];
  /** State of each op. */
  states(): Record<string, string>;
}

export interface BegunJob {
  readonly id: string;
  readonly plan: JobPlan;
  readonly ended: Promise<EndedJob>;
  /** The latest report, and where steps answer, once that holds. */
  reported(holds: (body: RecordBody<'job.report'>) => boolean): Promise<RecordBody<'job.report'>>;
  /** Resolves when that op runs. */
  running(op: string): Promise<void>;
  cancel(): Promise<TaskResult>;
  remove(): Promise<TaskResult>;
  container(op: string): Promise<RawContainer>;
}

export interface NosanaGround {
  readonly host: TestHost;
  begin(document: object, wish?: Wish): Promise<BegunJob>;
  run(document: object, wish?: Wish): Promise<EndedJob>;
  close(): Promise<void>;
}

export async function openNosanaGround(options: TestHostOptions = {}): Promise<NosanaGround> {
  const reports = new Map<string, RecordBody<'job.report'>>();
  const host = await openTestHost({ ...options, onJobReport: (body) => void reports.set(body.workload_id, body) });
  const begin: NosanaGround['begin'] = async (document, wish) => {
    const plan = await planFor(host, document, wish);
    const { job_id: id, project_id, allocation_id } = plan.identity;
    const identity = { job_id: id, project_id, allocation_id };
    const deadlineSeconds = plan.deadline_seconds + 60;
    const ended = host.run('workload.job_launch', plan, { deadlineSeconds }).then(async (result) => {
      const left = plan.keep ? [] : await leftOf(host, id);
      expect({ failure: result.failure, left }).toEqual({ failure: result.failure, left: [] });
      return endedJob(id, result);
    });
    // Whoever wants to know awaits it; a test that fails before that is not to end the process.
    ended.catch(() => undefined);
    const look = (holds: (body: RecordBody<'job.report'>) => boolean) => {
      const body = reports.get(id);
      if (!body || !holds(body)) throw new Error(`it stands so: ${JSON.stringify(body?.report)}`);
      return body;
    };
    const reported: BegunJob['reported'] = async (holds) =>
      await Promise.race([eventually(() => look(holds)), ended.then(() => look(holds))]);
    return {
      ...{ id, plan, ended, reported },
      running: async (op) =>
        void (await reported(({ report }) =>
          report.steps.some(({ id: step, state }) => step === op && state === 'running'),
        )),
      cancel: async () => await host.run('workload.job_control', { identity, action: 'cancel' }),
      remove: async () => await host.run('workload.job_remove', { identity }),
      container: async (op) => await inspectRaw(host, containerName(id, op)),
    };
  };
  return {
    ...{ host, begin, close: () => host.close() },
    run: async (document, wish) => await (await begin(document, wish)).ended,
  };
}

export function endedJob(id: string, result: TaskResult): EndedJob {
  const output = result.output as JobTaskOutput | null;
  const report = output?.report;
  if (!output || !report) throw new Error(`the job says nothing: ${JSON.stringify(result)}`);
  const step = (op: string) => {
    const found = report.steps.find((each) => each.id === op);
    if (!found) throw new Error(`no step ${op} in ${JSON.stringify(report)}`);
    return found;
  };
  return {
    ...{ id, result, output, report, step },
    said: (op) => step(op).results['said'] ?? [],
    states: () => Object.fromEntries(report.steps.map(({ id: op, state }) => [op, state])),
  };
}

/** Everything on the engine that has the name of a job, past the gate. */
export async function leftOf({ engineSocket }: Pick<TestHost, 'engineSocket'>, job: string): Promise<string[]> {
  const name = `${namePrefix}${job}`;
  const filters = encodeURIComponent(JSON.stringify({ name: [name] }));
  const get = async <T>(path: string) => (await engineCall<T>(engineSocket, 'GET', path)).body;
  const [containers, networks, { Volumes }] = await Promise.all([
    get<{ Names: string[] }[]>(`/containers/json?all=1&filters=${filters}`),
    get<{ Name: string }[]>(`/networks?filters=${filters}`),
    get<{ Volumes: { Name: string }[] | null }>(`/volumes?filters=${filters}`),
  ]);
  // The engine filters by what is in a name: also in that of a job whose id begins with this one.
  const isOf = (each: string) => each === name || each.startsWith(`${name}.`);
  const named = (kind: string, names: readonly string[]) => names.filter(isOf).map((each) => `${kind} ${each}`);
  return [
    ...named(
      'container',
      containers.map(({ Names: [first = ''] }) => first.slice(1)),
    ),
    ...named(
      'network',
      networks.map(({ Name }) => Name),
    ),
    ...named(
      'volume',
      (Volumes ?? []).map(({ Name }) => Name),
    ),
  ];
}

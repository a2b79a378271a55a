/** Explanations of jobs from their records: at work, ended, and gone. */
import { describe, expect, it } from 'vitest';
import type { LogFacts } from '../../../src/agent/logs/task-lines.ts';
import { AgentError } from '../../../src/contract/failures.ts';
import type { KeptOutput } from '../../../src/contract/job-outputs.ts';
import type { JobPlan } from '../../../src/contract/job-plan.ts';
import type { JobState } from '../../../src/contract/job-state.ts';
import type { JobRecord, KeptJob, StepRecord } from '../../../src/jobs/job-record.ts';
import { partsOf } from '../../../src/jobs/parts.ts';
import { explained } from '../../support/explained.ts';
import { jobIdentity, keptJob, plan as planOf, service, step, stepRecord } from '../../support/job-plans.ts';
import { keptTask } from '../../support/kept-task.ts';

const at = (second: number) => `2026-11-25T10:00:${String(second).padStart(2, '0')}.000Z`;
const results = [{ name: 'loss', regex: 'loss=(.+)', channels: ['stdout' as const] }];
const ran = { attempts: 1, started_at: at(3), run_started_at: at(3), container_id: 'c'.repeat(64) };
const plan = planOf({
  services: [service('db')],
  steps: [step('train', { group: 'g', results }), step('show', { group: 'g', depends_on: ['train'] }), step('last')],
});

/** A job of that plan, whose parts are pending but for those named. */
function job(
  state: JobState,
  steps: Readonly<Record<string, Partial<StepRecord>>>,
  over: Partial<JobRecord> = {},
  of: JobPlan = plan,
): KeptJob {
  const known = partsOf(of).map(({ id }) => [id, stepRecord(id, 'pending', steps[id])] as const);
  const base = keptJob(state, 'pending', { task_id: 'task-1', plan: of });
  const times = { accepted_at: at(0), started_at: state === 'queued' ? null : at(1) };
  return { ...base, record: { ...base.record, ...times, steps: Object.fromEntries(known), ...over } };
}

const task = (over: Parameters<typeof keptTask>[0] = {}) =>
  keptTask({
    ...over,
    envelope: { type: 'workload.job_launch', workload_id: 'job-1', params: plan, ...over.envelope },
  });
const other = (type: 'control' | 'remove', second: number, traceId = 'trace-2') => ({
  ...keptTask({
    envelope: {
      ...{ task_id: `task-${type}`, type: `workload.job_${type}`, workload_id: 'job-1', trace_id: traceId },
      params: { identity: jobIdentity, action: 'cancel' },
    },
    result: { finished_at: at(second + 1) },
  }),
  accepted_at: at(second),
});

const failed = (
  code: `step.${'failed' | 'timed_out' | 'unhealthy' | 'unresolved'}` | 'preflight.failed',
  detail = {},
) => new AgentError(code, { step: 'train', ...detail }).toFailure();
const endedBy = (failure: ReturnType<typeof failed>) => ({ ended_at: at(20), failure });

describe('an explanation of a job that has ended', () => {
  it.each([
    [
      'exit',
      { exit_code: 127 },
      failed('step.failed'),
      'ended with exit code 127: its command was not',
      'the command of train',
    ],
    [
      'signal',
      { signal: 'SIGSEGV' },
      failed('step.failed'),
      'was ended by SIGSEGV.',
      'gpuaas jobs logs job-1 --step train',
    ],
    [
      'advice',
      { exit_code: 1 },
      failed('step.failed', { advice: 'It can write only to /data.' }),
      'ended with exit code 1',
      'It can write only to /data. Correct the job',
    ],
    ['check', { exit_code: 0 }, failed('step.unhealthy'), 'a check of it did not pass', 'why the check did not pass'],
    [
      'value',
      {},
      failed('step.unresolved', { reason: 'It is x.' }),
      'could not be carried out.',
      'The detail names the reference',
    ],
  ])('names the part that failed by its %s, and what to do', async (_, exit, failure, said, advice) => {
    const steps = { train: { ...ran, state: 'failed' as const, ended_at: at(9), failure, ...exit } };
    const { explanation } = await explained('job-1', {
      tasks: [task({ failure })],
      job: job('failed', steps, endedBy(failure)),
    });

    expect(explanation).toMatchObject({ subject: { kind: 'job', name: 'A job' }, state: 'failed', failure });
    expect(explanation.summary).toContain('The job has failed, as the step train ');
    expect(explanation.summary).toContain(said);
    expect(explanation.next).toContain(advice);
  });

  it('tells each part once: begin with its length, end, restarts, results that are missing', async () => {
    const log: LogFacts[] = [
      { time: at(3), msg: 'event', event: 'step.started', text: 'train has started.', step: 'train', attempt: 1 },
      {
        time: at(5),
        msg: 'event',
        event: 'step.restarted',
        text: 'train has ended and is started again.',
        step: 'train',
      },
      { time: at(6), msg: 'event', event: 'step.started', text: 'train has started.', step: 'train', attempt: 2 },
      { time: at(9), msg: 'event', event: 'step.ended', text: 'train is succeeded.', step: 'train' },
    ];
    const steps = {
      db: { ...ran, started_at: at(2), state: 'succeeded' as const, ending: 'served' as const, ended_at: at(18) },
      train: { ...ran, attempts: 2, state: 'succeeded' as const, ended_at: at(9), exit_code: 0 },
    };
    const { text } = await explained('job-1', {
      ...{ tasks: [task({ result: {} })], job: job('succeeded', steps, { ended_at: at(20) }) },
      sources: { taskLog: async () => log },
    });

    expect(text).toMatch(/10:00:03\.000 {2}agent {8}The step train began\. {2}\(6\.0 s\)\n +it was started 2 times\n/);
    expect(text).toMatch(/The step train ended with exit code 0: .*\n +its result loss was not in what it wrote\n/);
    expect(text).toContain('The service db was stopped: it had served its purpose.');
    expect(text.match(/train has started\./g)).toHaveLength(1);
    expect(text).not.toContain('train is succeeded.');
  });

  it('tells what its proxy has refused, with the place that was asked for (M-37)', async () => {
    const text = 'Refused by the proxy: https to b.example:443 is not what this job may reach. (3 times)';
    const place = { host: 'b.example', port: 443, scheme: 'https', code: 'not_listed', count: 3 };
    const { text: explanation } = await explained('job-1', {
      ...{ tasks: [task({ result: {} })], job: job('succeeded', {}, { ended_at: at(20) }) },
      sources: { taskLog: async () => [{ time: at(4), msg: 'event', event: 'egress.refused', text, ...place }] },
    });

    expect(explanation).toContain(text);
    expect(explanation).toContain('not_listed');
  });

  it('says by whom it was cancelled, while what ran', async () => {
    const failure = new AgentError('job.cancelled').toFailure();
    const steps = { train: { ...ran, state: 'cancelled' as const, ended_at: at(19) } };
    const cancelled = job('cancelled', steps, { ended_at: at(20), failure, cancelled: true });
    const by = async (traceId: string) =>
      (await explained('job-1', { tasks: [task({ failure }), other('control', 15, traceId)], job: cancelled }))
        .explanation;

    expect((await by('trace-2')).summary).toBe(
      'The job was cancelled by the control plane (task task-control) while the step train ran.',
    );
    expect((await by('')).summary).toContain('by a command on this host');
    expect((await by('')).next).toMatch(/^Nothing: somebody asked for it/);
  });

  it('says of one past its deadline how long that was, and that nothing of it had run', async () => {
    const failure = new AgentError('job.expired', { deadline_seconds: 600 }).toFailure();
    const { explanation, text } = await explained('job-1', {
      ...{ tasks: [task({ failure })], job: job('expired', {}, { ended_at: at(20), failure }) },
    });

    expect(explanation.summary).toBe(
      'The job ran past its deadline, 600 s after it was accepted, before anything of it ran.',
    );
    expect(text).toMatch(/! Images were to be fetched\. {2}\(19 s\)\n +image main was not fetched\n/);
    expect(text).toContain('the step last was not begun: it is pending');
  });

  it('says which outputs are not at the control plane, which were not kept, and what could not be taken away', async () => {
    const output = (name: string): KeptOutput => ({
      ...{ name, kind: 'artifact', sha256: '0'.repeat(64), bytes: 12, file_name: name },
      media_type: 'application/octet-stream',
    });
    const wanted = (name: string) => ({
      name,
      volume: 'data',
      path: `out/${name}`,
      type: 'artifact' as const,
      required: false,
    });
    const of = planOf({ outputs: ['model', 'curve', 'notes'].map(wanted) });
    const done = { one: { ...ran, state: 'succeeded' as const, exit_code: 0, ended_at: at(9) } };
    const cleanup = { removed: [], kept: [], failed: ['volume gpuaas-job-1.data: it is in use'] };
    const facts = {
      job: job('succeeded', done, { ended_at: at(20), outputs: [output('model'), output('curve')] }, of),
      sources: {
        jobOutputs: async () =>
          new Map([
            ['model', 'waiting' as const],
            ['curve', 'handed_over' as const],
          ]),
      },
    };
    const stuck = await explained('job-1', { ...facts, tasks: [task({ result: { output: { cleanup } } })] });
    const late = await explained('job-1', { ...facts, tasks: [task({ result: {} })] });

    expect(stuck.text).toContain('output model, 12 bytes: kept on this host, not handed over yet');
    expect(stuck.text).toContain('output curve, 12 bytes: at the control plane');
    expect(stuck.text).toContain('output notes: not kept; it would be out/notes of the volume data');
    expect(stuck.text).toMatch(
      /! Not all that the job had made could be taken away\.\n +volume gpuaas-job-1\.data: it is in use/,
    );
    expect(stuck.explanation.next).toContain('The agent tries containers and networks again');
    expect(late.explanation.summary).toBe(
      'The job has succeeded: 1 of 1 steps. The control plane does not have yet: model.',
    );
    expect(late.explanation.next).toMatch(/^Wait: the agent goes on handing it over\./);
  });

  it('names the containers of its parts, and those that are none, as the engine tells of them', async () => {
    const event = (container: string) => ({
      time: at(4),
      action: 'create',
      exitCode: null,
      container,
      instance: 'job-1',
    });
    const engineEvents = async () => ['db', 'train', 'fill-0'].map((id) => event(`gpuaas-job-1.${id}`));
    const { text } = await explained('job-1', { job: job('running', {}), sources: { engineEvents } });

    expect(text).toContain('The container of the service db was created.');
    expect(text).toContain('The container of the step train was created.');
    expect(text).toContain('The container of fill-0 was created.');
  });
});

describe('an explanation of a job at work', () => {
  it.each([
    ['queued', {}, {}, 'The job waits to be prepared.'],
    ['preparing', {}, {}, 'The job waits for the image main.'],
    ['running', { db: { state: 'waiting' as const } }, {}, 'The service db waits for its start; 3 parts come later.'],
    [
      'running',
      {
        db: { ...ran, state: 'running' as const },
        train: { ...ran, state: 'running' as const, starting: true },
        show: { state: 'waiting' as const },
      },
      {},
      'The service db runs since 2026-11-25 10:00:03 UTC; the step train is being started; the step show waits for the step train; 1 part comes later.',
    ],
    [
      'running',
      { train: { ...ran, state: 'waiting' as const, exit_code: 1 } },
      { cancelled: true },
      'The step train has ended and is started again; 3 parts come later. It is to end: it was cancelled.',
    ],
  ] as const)('that is %s says what it does and what it waits for', async (state, steps, over, summary) => {
    const { explanation } = await explained('job-1', { tasks: [task()], job: job(state, steps, over) });

    expect(explanation).toMatchObject({ state, failure: null, summary });
    expect(explanation.next).toMatch(/^Wait, or follow it with `node-agent logs /);
  });

  it('says how far its images are', async () => {
    const line = (second: number, text: string) => ({
      time: at(second),
      msg: 'event',
      event: 'image.progress',
      image: 'main',
      text,
    });
    const { text } = await explained('job-1', {
      ...{ tasks: [task()], job: job('preparing', {}) },
      sources: { taskLog: async () => [line(2, 'main: 1 of 5 layers'), line(3, 'main: 2 of 5 layers')] },
    });

    expect(text).toMatch(/Images are being fetched\.\n +image main is not here yet\n +main: 2 of 5 layers\n/);
    expect(text).not.toContain('1 of 5 layers');
  });

  it('of what its images lack tells what was looked for, and that nothing of it ran', async () => {
    const preflight = [
      { type: 'executable' as const, name: 'uv', image: 'main', work_dir: '/w' },
      { type: 'file' as const, name: 'job.py', image: 'main', work_dir: '/w' },
    ];
    const looked = [
      { index: 0, reason: 'is not there: it is in no folder of PATH, /bin', at: at(2), duration_ms: 4 },
      { index: 1, reason: null, at: at(2), duration_ms: 3 },
    ];
    const failure = failed('preflight.failed', { phase: 'check', check: 'uv', reason: 'the program uv is not there.' });
    const steps = Object.fromEntries(plan.steps.map(({ id }) => [id, { state: 'skipped' as const }]));
    const over = { failure, ended_at: at(3), preflight: looked };
    const { text, explanation } = await explained('job-1', {
      ...{ tasks: [task({ result: {} })], job: job('failed', steps, over, { ...plan, preflight }) },
    });

    expect(text).toMatch(
      /Of 2 things that its images have to have, 1 are there\..*\n +uv is not there: it is in no folder of PATH, \/bin\n/,
    );
    expect(explanation.summary).toContain('the program uv is not there.');
  });

  it('by a check before it names the check', async () => {
    const checks = [{ ...(plan.steps[0] as JobPlan['steps'][number]), id: 'look', timeout_seconds: 5 }];
    const own = failed('step.failed', { step: 'look', exit_code: 3 });
    const failure = failed('preflight.failed', { phase: 'check', step: 'look', code: 'step.failed' });
    const ended = {
      state: 'failed' as const,
      failure: own,
      exit_code: 3,
      attempts: 1,
      started_at: at(2),
      ended_at: at(3),
    };
    const { explanation } = await explained('job-1', {
      ...{ tasks: [task({ result: {} })] },
      job: job('failed', { look: ended }, { failure, ended_at: at(4) }, { ...plan, checks }),
    });

    expect(explanation.summary).toContain('the check look ended with exit code 3');
  });

  it('that waits for its turn has no record yet', async () => {
    const { explanation } = await explained('job-1', { tasks: [task()] });

    expect(explanation).toMatchObject({
      subject: { kind: 'job' },
      state: 'running',
      summary: 'It waits for its turn.',
    });
  });
});

describe('an explanation of a job that this host has no record of', () => {
  const failure = failed('step.failed', { reason: 'train ended with 3.' });
  const phases = [{ phase: 'pulling' as const, at: at(1) }];

  it('says that it was removed, and how it had ended', async () => {
    const { explanation } = await explained('job-1', { tasks: [task({ failure, phases }), other('remove', 30)] });

    expect(explanation).toMatchObject({ subject: { kind: 'job' }, state: 'removed', failure: null });
    expect(explanation.summary).toBe(
      'This host does not have the job any more: it was removed at 2026-11-25 10:00:31 UTC. Its launch failed: A step of the job failed. train ended with 3.',
    );
    expect(explanation.next).toContain('`gpuaas jobs describe job-1`');
  });

  it('says why it was refused where it was never begun', async () => {
    const refused = new AgentError('resources.exceeded', { reason: 'No.' }).toFailure();
    const { explanation } = await explained('job-1', {
      tasks: [task({ failure: refused, result: { status: 'rejected' } })],
    });

    expect(explanation).toMatchObject({ state: 'rejected', failure: { code: 'resources.exceeded' } });
  });
});

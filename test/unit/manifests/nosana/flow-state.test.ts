import { expect, it } from 'vitest';
import { AgentError } from '../../../../src/contract/failures.ts';
import { JobReport, type StepReport } from '../../../../src/contract/job-report.ts';
import { judge } from '../../../../src/contract/validate.ts';
import type { JobDefinition } from '../../../../src/manifests/nosana/definition.ts';
import { flowStateOf } from '../../../../src/manifests/nosana/flow-state.ts';
import { faultsOf } from '../../../support/flow-format.ts';

const at = (second: number) => new Date(second * 1000).toISOString();
const definition: JobDefinition = {
  ...{ version: '0.1', type: 'container' },
  ops: [
    { type: 'container/create-volume', id: 'data', args: { name: 'data' } },
    { type: 'container/run', id: 'Train.1', args: { image: 'x' }, execution: { group: 'g' } },
    { type: 'container/run', id: 'report', args: { image: 'x' } },
  ],
};
const step = (id: string, more: Partial<StepReport>): StepReport => ({
  ...{ id, state: 'pending', started_at: null, ended_at: null, attempts: 0, container_id: null, exit_code: null },
  ...{ signal: null, oom_killed: false, results: {}, failure: null, ...more },
});
const nothing = { entries: [], missing: null };
const noLog = () => nothing;

it('tells a job that went well, with results and logs of its ops by their own ids', () => {
  const report: JobReport = {
    ...{ state: 'succeeded', summary: 'Done.', started_at: at(10), ended_at: at(30), failure: null },
    steps: [
      step('train-1', {
        ...{ state: 'succeeded', started_at: at(11), ended_at: at(20), attempts: 1, container_id: 'c1', exit_code: 0 },
        results: { loss: ['0.1'], urls: ['a', 'b'] },
      }),
      step('report', { state: 'succeeded', started_at: at(21), ended_at: at(29), exit_code: 0 }),
    ],
  };
  expect(judge(JobReport, report)).toMatchObject({ ok: true });

  const entries = [
    { time: at(12), channel: 'stdout' as const, text: 'hello' },
    { time: at(13), channel: 'stderr' as const, text: 'trouble' },
  ];
  const flow = flowStateOf(definition, report, at(1), (id) =>
    id === 'train-1' ? { entries, missing: 'The rest is elsewhere.' } : nothing,
  );

  const logs = [
    { type: 'nodeerr', log: 'The rest is elsewhere.', timestamp: at(12) },
    { type: 'stdout', log: 'hello', timestamp: at(12) },
    { type: 'stderr', log: 'trouble', timestamp: at(13) },
  ];
  expect(faultsOf(flow)).toEqual([]);
  expect(flow).toMatchObject({ status: 'success', startTime: 10_000, endTime: 30_000, errors: [] });
  expect(flow.opStates).toMatchObject([
    { operationId: 'data', status: 'success', startTime: 10_000, endTime: 10_000, exitCode: 0 },
    {
      ...{ operationId: 'Train.1', group: 'g', providerId: 'c1', status: 'success', exitCode: 0, logs },
      results: { loss: '0.1', urls: ['a', 'b'] },
    },
    { operationId: 'report', group: null, status: 'success', logs: [] },
  ]);
});

it.each([
  ['image.not_found', 'image-pull-error'],
  ['input.failed', 'resource-error'],
  ['engine.failed', 'container-runtime-error'],
  ['step.failed', 'operation-error'],
] as const)('tells %s of a step as %s, and what did not run as stopped', (code, event) => {
  const failure = new AgentError(code).toFailure();
  const report: JobReport = {
    ...{ state: 'failed', summary: 'It failed.', started_at: at(10), ended_at: at(30), failure },
    steps: [step('train-1', { state: 'failed', failure, exit_code: 3 }), step('report', { state: 'skipped' })],
  };

  const { status, errors, opStates } = flowStateOf(definition, report, at(1), noLog);

  expect(faultsOf({ status, errors, opStates, startTime: 1, endTime: null })).toEqual([]);
  expect([status, errors]).toEqual(['failed', [expect.objectContaining({ event })]]);
  expect(opStates[1]).toMatchObject({ status: 'failed', exitCode: 3, error: { event } });
  expect(opStates[2]).toMatchObject({ status: 'stopped', startTime: null });
});

it.each([
  ['queued', 'init', null, {}],
  ['preparing', 'init', null, {}],
  ['cancelled', 'stopped', 'job.cancelled', { jobStopped: true }],
  ['expired', 'expired', 'job.expired', { jobExpired: true }],
  ['failed', 'failed', 'node.revoked', { hostShutDown: true }],
] as const)('tells a job that is %s as %s', (state, status, code, reason) => {
  const report: JobReport = {
    ...{ state, summary: 'So.', started_at: null, ended_at: null },
    ...{ failure: code && new AgentError(code).toFailure(), steps: [] },
  };

  const flow = flowStateOf(definition, report, at(1), noLog);

  expect(faultsOf(flow)).toEqual([]);
  expect(flow).toMatchObject({ status, startTime: 1000, endTime: null });
  expect(flow.opStates[0]).toMatchObject({
    diagnostics: { reason: { hostShutDown: false, jobStopped: false, jobExpired: false, ...reason } },
  });
});

import { expect, it } from 'vitest';
import { JobReportBody } from '../../../src/contract/records.ts';
import { judge } from '../../../src/contract/validate.ts';
import { boundedReport, endpointsOf } from '../../../src/jobs/job-record.ts';
import { keptJob, plan, step, stepRecord } from '../../support/job-plans.ts';

it('what is told of a job is taken by the control plane, however many ports it publishes', () => {
  const ids = Array.from({ length: 13 }, (_, index) => `s${index}`);
  const ports = Array.from({ length: 64 }, (_, index) => ({
    ...{ name: `port-${index + 1}`, protocol: 'tcp' as const, container_port: index + 1, host_port: 40_000 + index },
  }));
  const { record } = keptJob('running', 'running');
  const steps = Object.fromEntries(ids.map((id) => [id, stepRecord(id, 'running', { ports })]));
  const job = { plan: plan({ steps: ids.map((id) => step(id)) }), record: { ...record, steps } };

  const said = { workload_id: 'job-1', task_id: 'task-1', report: boundedReport(job), outputs: [] };

  expect(judge(JobReportBody, { ...said, endpoints: endpointsOf(job) })).toMatchObject({ ok: true });
});

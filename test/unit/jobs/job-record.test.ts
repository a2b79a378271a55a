import { expect, it } from 'vitest';
import { maxOutputs } from '../../../src/contract/job-outputs.ts';
import { JobReportBody } from '../../../src/contract/records.ts';
import { maxFrameBytes } from '../../../src/contract/signing.ts';
import { judge } from '../../../src/contract/validate.ts';
import { boundedReport, endpointsOf, jobReport } from '../../../src/jobs/job-record.ts';
import { signReceipt } from '../../../src/policy/job-receipts.ts';
import { keptJob, plan, step, stepRecord } from '../../support/job-plans.ts';

const time = '2026-11-26T10:00:00.123456789Z';

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

it('the report of an end fits a frame, however much there is to say and to sign', () => {
  const long = (prefix: string) => prefix.padEnd(64, 'x');
  const parts = Array.from({ length: 128 }, (_, index) => `s${index}-`.padEnd(32, 'x'));
  const outputs = Array.from({ length: maxOutputs }, (_, index) => ({
    ...{ name: index < 64 ? long(`o${index}-`) : `${long(`l${index}-`)}.log`, sha256: 'a'.repeat(64), bytes: 2 ** 40 },
    ...{ kind: 'checkpoint' as const, media_type: 'application/octet-stream' as const },
    file_name: index < 64 ? '\u0001'.repeat(250) : long(`l${index}-`),
  }));
  const facts = { ...{ exit_code: 255, signal: 'SIGKILL', oom_killed: true }, started_at: time, ended_at: time };
  const receipt = signReceipt(
    {
      ...{
        version: 1,
        node_id: long('n'),
        chain: long('c'),
        number: 2 ** 50,
        previous: 'a'.repeat(64),
        task_id: long('t'),
      },
      ...{ job_id: long('j'), project_id: long('p'), allocation_id: long('a'), attempt: 1_000_000, state: 'succeeded' },
      ...{ plan_sha256: 'a'.repeat(64), document_sha256: 'a'.repeat(64), started_at: time, ended_at: time },
      images: parts.map((id) => ({ id, reference: 'r'.repeat(512), image_id: 'i'.repeat(128) })),
      inputs: parts.slice(0, 64).map((id) => ({ id, sha256: 'a'.repeat(64), commit: 'c'.repeat(40) })),
      steps: parts.map((id) => ({ id, state: 'succeeded', ...facts })),
      outputs: outputs.map(({ name, kind, sha256, bytes }) => ({ name, kind, sha256, bytes })),
    },
    { publicJwk: { kty: 'OKP', crv: 'Ed25519', x: 'x'.repeat(43) }, sign: () => 's'.repeat(86) },
  );
  const said = { results: { all: ['x'.repeat(2000)] } };
  const steps = Object.fromEntries(parts.map((id) => [id, stepRecord(id, 'succeeded', { ...facts, ...said })]));
  const { record } = keptJob('running', 'running');
  const job = {
    ...{ job_id: long('j'), task_id: long('t'), fencing: 1, plan: plan({ steps: parts.map((id) => step(id)) }) },
    record: { ...record, steps, outputs, receipt, state: 'succeeded' as const },
  };

  const report = jobReport(job);

  expect(report).toMatchObject({ receipt, report: { steps: { 0: { results: { all: { length: 1 } } } } } });
  expect(judge(JobReportBody, report)).toMatchObject({ ok: true });
  expect(Buffer.byteLength(JSON.stringify(report))).toBeLessThan(maxFrameBytes - 1024);
});

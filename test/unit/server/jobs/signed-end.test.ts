/** A host signs that a job has succeeded, and takes away what is left of it afterwards. */
import { expect, it } from 'vitest';
import { AgentError } from '../../../../src/contract/failures.ts';
import type { JobReceipt } from '../../../../src/contract/job-receipt.ts';
import type { JobReport } from '../../../../src/contract/job-report.ts';
import type { TaskEnvelope } from '../../../../src/contract/task-envelope.ts';
import { aReceipt } from '../../../support/job-samples.ts';
import { aStep, jobOutput, jobServer } from '../../../support/job-server.ts';

const server = await jobServer();
const { call, submit, hello, job, reaches } = server;
const { report: succeeded } = jobOutput();
let host = await server.connect();

/** Of a job that runs: it, and its launch. */
let id: string;
let task: TaskEnvelope;
let receipt: string;
const begin = async (more: object = {}) => {
  id = (await submit(hello(), more)).body.id;
  task = await host.agent.accept();
  receipt = aReceipt({ job_id: id, task_id: task.task_id });
  host.report(task, {});
  await reaches(id, 'running');
};
const signs = () => host.report(task, succeeded ?? {}, { receipt });
const attempt = async () => (await job(id)).attempts.at(-1);
const isClosed = () => expect.poll(async () => (await attempt()).ended_at).not.toBeNull();
const eventsOf = async () => {
  const { items } = (await call('GET', `/api/v1/jobs/${id}/events`)).body;
  return items.map(({ type }: { type: string }) => type).filter((type: string) => type !== 'job.reported');
};
/** All that the host has said before has been taken. */
const isHeard = async () => {
  const heard = `heard ${Math.random()}`;
  const marker = (await submit(hello(), { name: heard })).body.id;
  const other = await host.agent.accept();
  host.end(other, {});
  await reaches(marker, 'succeeded');
};

it('ends the job once, and the result closes its attempt', async () => {
  await begin();
  signs();
  const over = await reaches(id, 'succeeded');
  expect(over).toMatchObject({ receipt, failure: null, actions: ['remove'], reason: 'It has succeeded.' });
  expect(over.attempts).toMatchObject([{ state: 'succeeded', ended_at: null, failure: null }]);
  expect(over.steps[0]).toMatchObject({ state: 'succeeded', exit_code: 0 });

  signs();
  host.end(task, { output: jobOutput({ receipt }) });
  await isClosed();
  const closed = await job(id);
  expect(closed).toMatchObject({ state: 'succeeded', ended_at: over.ended_at, state_since: over.state_since, receipt });
  expect(closed.attempts).toMatchObject([{ state: 'succeeded', failure: null }]);
  expect(await eventsOf()).toEqual(['job.submitted', 'job.dispatched', 'job.running', 'job.succeeded']);
});

const failed = { ...succeeded, state: 'failed' as const };
it.each<[string, Partial<JobReport>, (its: Partial<JobReceipt>) => { readonly receipt?: string }]>([
  ['without a signature', { ...succeeded }, () => ({})],
  ['of a job that has failed', failed, (its) => ({ receipt: aReceipt(its) })],
  ['with what is no receipt', { ...succeeded }, () => ({ receipt: 'header.payload.signature' })],
  ['with that of another job', { ...succeeded }, (its) => ({ receipt: aReceipt({ ...its, job_id: 'job-2' }) })],
  ['with that of another task', { ...succeeded }, (its) => ({ receipt: aReceipt({ ...its, task_id: 'task-2' }) })],
  ['with that of another attempt', { ...succeeded }, (its) => ({ receipt: aReceipt({ ...its, attempt: 2 }) })],
  ['with one that says otherwise', { ...succeeded }, (its) => ({ receipt: aReceipt({ ...its, state: 'failed' }) })],
])('is none %s: the result says how it ended', async (_, report, signed) => {
  await begin();
  host.report(task, report, signed({ job_id: id, task_id: task.task_id }));
  await isHeard();
  expect((await job(id)).state).toBe('running');

  host.end(task, { status: 'failed', output: null, failure: new AgentError('job.expired').toFailure() });
  await reaches(id, 'expired');
});

it('stays what it is, whatever the host says afterwards', async () => {
  await begin();
  signs();
  await reaches(id, 'succeeded');
  const failure = new AgentError('engine.unavailable').toFailure();
  host.report(task, { state: 'preparing', steps: [{ ...aStep, state: 'pending', started_at: null }] });
  host.end(task, { status: 'failed', output: null, failure });
  await isClosed();

  expect(await job(id)).toMatchObject({ state: 'succeeded', failure: null, receipt, attempt: 1 });
  expect(await attempt()).toMatchObject({ state: 'succeeded', failure: { code: 'engine.unavailable' } });
});

it('after somebody wanted it cancelled is that of the task', async () => {
  await begin();
  await call('POST', `/api/v1/jobs/${id}/cancel`);
  const control = await host.agent.accept();
  signs();
  await isHeard();
  expect((await job(id)).state).toBe('running');

  host.end(task, { output: jobOutput({ receipt }) });
  await reaches(id, 'succeeded');
  host.end(control, {});
});

it('is the end: cancelling it changes nothing', async () => {
  await begin();
  signs();
  const { updated_at } = await reaches(id, 'succeeded');
  const cancelled = await call('POST', `/api/v1/jobs/${id}/cancel`);
  expect(cancelled.body).toMatchObject({ state: 'succeeded', cancelled_at: null, updated_at });

  host.end(task, {});
  await isClosed();
});

it.each([[false], [true]])('lets the job be removed when its host is through with it; kept there: %s', async (keep) => {
  await begin({ options: { keep } });
  signs();
  await reaches(id, 'succeeded');

  expect((await call('DELETE', `/api/v1/jobs/${id}`)).body).toEqual({ removed: false });
  expect((await call('DELETE', `/api/v1/jobs/${id}`)).body).toEqual({ removed: false });
  expect(await job(id)).toMatchObject({ state: 'succeeded', actions: [] });
  host.end(task, {});
  if (keep) {
    const removal = await host.agent.accept();
    expect(removal).toMatchObject({ type: 'workload.job_remove', workload_id: id });
    host.end(removal, {});
  }
  await expect.poll(async () => (await call('GET', `/api/v1/jobs/${id}`)).status).toBe(404);
});

it('of a job whose host has forgotten it is the end: it is not begun again', async () => {
  await begin();
  signs();
  await reaches(id, 'succeeded');
  host.agent.socket.terminate();
  await host.agent.closed;
  // Another epoch, and another journal.
  host = await server.connect(host.epoch);
  await isHeard();

  expect(await attempt()).toMatchObject({ state: 'succeeded', failure: { code: 'internal' } });
});

it('does not end its allocation, which waits for its host, unless that is revoked', async () => {
  await begin();
  signs();
  await reaches(id, 'succeeded');
  const allocation = async () => (await call('GET', `/api/v1/allocations/${server.allocation.id}`)).body;
  await call('POST', `/api/v1/allocations/${server.allocation.id}/end`);
  expect(await allocation()).toMatchObject({ state: 'releasing' });

  await call('POST', '/api/v1/nodes/node-1/revoke');
  expect(await job(id)).toMatchObject({ state: 'succeeded', receipt });
  expect(await attempt()).toMatchObject({ state: 'succeeded', failure: { code: 'node.revoked' } });
  expect(await allocation()).toMatchObject({ state: 'ended' });
});

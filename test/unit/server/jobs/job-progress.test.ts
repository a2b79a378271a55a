/** Preparing a job may take an hour. What of it is at work is its reason, for whoever looks at it only. */
import { expect, it } from 'vitest';
import { jobServer } from '../../../support/job-server.ts';

const server = await jobServer();
const { call, submit, hello, job, reaches } = server;
const host = await server.connect();

const prepares = async () => {
  const { id } = (await submit(hello())).body;
  const task = await host.agent.accept();
  host.report(task, { state: 'preparing', summary: 'Images and data of the job are fetched.' });
  await reaches(id, 'preparing');
  return { id, task };
};
const reasonOf = async (id: string) => (await job(id)).reason;

it('what is fetched or built last is the reason, until it runs', async () => {
  const { id, task } = await prepares();
  const since = (await job(id)).state_since;

  host.tell(task, 'image.progress', 'main: step 3 of 7, RUN pip install');
  await expect.poll(() => reasonOf(id)).toBe('main: step 3 of 7, RUN pip install');
  host.tell(task, 'input.progress', 'weights: 1 of 2 files');
  await expect.poll(() => reasonOf(id)).toBe('weights: 1 of 2 files');
  host.tell(task, 'input.provided', 'weights is there.');
  host.report(task, { state: 'running', summary: 'The job runs.' });
  host.tell(task, 'input.progress', 'late: 1 of 2 files');

  expect(await reaches(id, 'running')).toMatchObject({ reason: 'The job runs.' });
  host.tell(task, 'job.note', 'heard');
  await expect
    .poll(async () => JSON.stringify((await call('GET', `/api/v1/jobs/${id}/events`)).body))
    .toContain('heard');
  expect(await reasonOf(id)).toBe('The job runs.');
  expect((await job(id)).state_since).not.toBe(since);
  host.end(task, {});
  await reaches(id, 'succeeded');
});

it('of one that is being cancelled stays that', async () => {
  const { id, task } = await prepares();
  await call('POST', `/api/v1/jobs/${id}/cancel`);
  const control = await host.agent.accept();

  host.tell(task, 'image.progress', 'main: 1 of 2 layers');
  await expect
    .poll(async () => JSON.stringify((await call('GET', `/api/v1/jobs/${id}/events`)).body))
    .toContain('layers');

  expect(await reasonOf(id)).toBe('It is being cancelled.');
  host.end(task, {});
  host.end(control, {});
});

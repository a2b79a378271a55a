/** Flow states of jobs, each of which holds the end of every log until it is sent. */
import type { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { expect, it } from 'vitest';
import type { Store } from '../../../../src/server/db/store.ts';
import type { Asked, Who } from '../../../../src/server/http/route.ts';
import { type JobObservationOptions, jobObservationRoutes } from '../../../../src/server/jobs/job-observation.ts';
import { aJob, aJobStep } from '../../../support/job-samples.ts';

const document = {
  ...{ version: '0.1', type: 'container' },
  ops: Array.from({ length: 100 }, (_, index) => {
    return { type: 'container/run', id: `hello-${index}`, args: { image: 'alpine', cmd: 'true' } };
  }),
};
const job = aJob({ steps: document.ops.map(({ id }) => aJobStep(id)) });
const tx = {
  jobs: { get: async () => job },
  job_documents: { get: async () => ({ document }) },
  job_news: { get: async () => undefined },
};
const store = { read: (work: (each: typeof tx) => unknown) => work(tx) } as unknown as Store;

/** Asked for and not read yet. */
function flowStates() {
  const routes = jobObservationRoutes({ store } as unknown as JobObservationOptions);
  const stream = routes.find(({ path }) => path.endsWith('/flow-state'))?.stream;
  if (!stream) throw new Error('no such route');
  return async (tokenId = 'token-1'): Promise<Readable> => {
    const who = { projectId: 'p1', tokenId, role: 'viewer' } as unknown as Who;
    const asked = { who, params: { job_id: job.id } } as unknown as Asked<unknown, unknown, unknown, unknown>;
    return (await stream(asked)).body;
  };
}

const busy = expect.objectContaining({ code: 'server.busy' });

it('those that a project has not read yet are so many at most', async () => {
  const ask = flowStates();
  const [first] = (await Promise.all(Array.from({ length: 8 }, () => ask()))) as [Readable];
  const pieces = first.iterator();
  const begun = (await pieces.next()).value as Buffer;

  await expect(ask()).rejects.toEqual(busy);

  const rest = await buffer({ [Symbol.asyncIterator]: () => pieces });
  expect(JSON.parse(Buffer.concat([begun, rest]).toString()).opStates).toHaveLength(100);
  await ask();
  await expect(ask()).rejects.toEqual(busy);
});

it('one whose place another token of the project needs is not sent', async () => {
  const ask = flowStates();
  const [first] = (await Promise.all(Array.from({ length: 8 }, () => ask()))) as [Readable];

  await ask('token-2');

  expect(first.destroyed).toBe(true);
});

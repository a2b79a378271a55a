/** Ops of job definitions get the cards that they ask for, and the example of Nosana's documents runs. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { expect, it } from 'vitest';
import { runJob } from '../../../src/jobs/run-job.ts';
import { readDefinition } from '../../../src/manifests/nosana/read-definition.ts';
import { planOf } from '../../../src/manifests/nosana/to-plan.ts';
import { cardLedger, sampleGpu } from '../../support/gpus.ts';
import { jobEngine } from '../../support/job-engine.ts';
import { jobIdentity } from '../../support/job-plans.ts';
import { definition, op } from '../../support/nosana-jobs.ts';
import { imageReference, taskContext } from '../../support/task-bench.ts';

it('the PyTorch example of their documents is valid and runs, with a card and its port (N-25, N-49)', async () => {
  const fixture = resolve(import.meta.dirname, '../../../fixtures/manifests/nosana/pytorch-jupyter.in.json');
  const { job, requests } = await run(JSON.parse(readFileSync(fixture, 'utf8')));

  expect(job.record).toMatchObject({ state: 'succeeded', failure: null });
  expect(requests).toHaveLength(1);
  expect(requests[0]).toMatchObject({
    Cmd: [
      ...['jupyter', 'lab', '--ip=0.0.0.0', '--port=8888', '--no-browser', '--allow-root'],
      ...["--ServerApp.token=''", "--ServerApp.password=''"],
    ],
    HostConfig: {
      DeviceRequests: [{ DeviceIDs: ['GPU-1'] }],
      PortBindings: { '8888/tcp': [{ HostIp: '127.0.0.1' }] },
    },
  });
});

it.each([
  ['an op that asks for one', { gpu: true }, undefined, ['GPU-1']],
  ['no op that does not', {}, undefined, undefined],
  ['an op that says nothing, where the job asks for all', {}, true, ['GPU-1']],
  ['no op that wants none, whatever the job asks for', { gpu: false }, true, undefined],
])('a card is given to %s (N-13, N-25)', async (_, args, gpu, cards) => {
  const { requests } = await run(definition([op('a', 'true', args)], gpu === undefined ? undefined : { gpu }));

  expect(requests.map(({ HostConfig }) => HostConfig.DeviceRequests?.[0]?.DeviceIDs)).toEqual([cards]);
});

/** On a host with one card, whose containers succeed at once. */
async function run(document: object) {
  const read = readDefinition(document);
  if (!read.ok) throw new Error(JSON.stringify(read.errors));
  const wish = {
    ...{ identity: jobIdentity, sandbox: 'runc' as const, resources: { gpu_count: 0, cpu_cores: 1, memory_gib: 1 } },
    ...{ on_failure: 'stop' as const, deadline_seconds: 600, keep: false },
  };
  const { unresolved } = planOf(read.definition, { ...wish, pins: {} });
  const pin = { reference: imageReference, media_type: 'application/vnd.oci.image.manifest.v1+json' as const };
  const { plan } = planOf(read.definition, {
    ...wish,
    pins: Object.fromEntries(unresolved.map(({ reference }) => [reference, pin])),
  });
  const engine = jobEngine({});
  const { context } = taskContext(engine.engine, { gpus: cardLedger(engine.engine, [sampleGpu()]).ledger });
  return { ...(await runJob(plan, context)), requests: engine.requests };
}

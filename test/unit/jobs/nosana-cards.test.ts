/** Ops of job definitions get the cards that they ask for, and the example of Nosana's documents runs. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
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

describe('an op that needs a card of some memory', () => {
  const [small, large] = [sampleGpu({ memory_mib: 16_384 }), sampleGpu({ uuid: 'GPU-2', memory_mib: 81_559 })];
  const wants = (required_vram: number) => definition([op('a', 'true', { gpu: true, required_vram })]);

  it('gets one that has it, whatever else is free (N-10)', async () => {
    const { job, requests } = await run(wants(40), [small, large]);

    expect(job.record.state).toBe('succeeded');
    expect(requests.map(({ HostConfig }) => HostConfig.DeviceRequests?.[0]?.DeviceIDs)).toEqual([['GPU-2']]);
  });

  it('is not begun where no free card has it (N-10)', async () => {
    await expect(run(wants(40), [small])).rejects.toMatchObject({
      code: 'gpu.none_free',
      detail: { reason: 'Asked for 1 of at least 38146 MiB, 0 of 1 are free.' },
    });
  });
});

/** On a host whose containers succeed at once. */
async function run(document: object, cards = [sampleGpu()]) {
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
  const { context } = taskContext(engine.engine, { gpus: cardLedger(engine.engine, cards).ledger });
  return { ...(await runJob(plan, context)), requests: engine.requests };
}

/** A folder that one job has left on the real engine, and another goes on with (C-70, C-72). */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { controlPlaneOrigin } from '../../src/agent/control-plane/origin.ts';
import { revisionSource } from '../../src/agent/control-plane/revision-source.ts';
import type { JobTaskOutput } from '../../src/contract/job-output.ts';
import type { JobPlan } from '../../src/contract/job-plan.ts';
import type { OutputDestination } from '../../src/jobs/outputs/hand-over.ts';
import { plan as planOf, step, words } from '../support/job-plans.ts';
import { contentOf, type LoopbackSource, loopbackSource, sendContent } from '../support/loopback-source.ts';
import { openTestHost, type TestHost } from '../support/test-host.ts';

/** What was handed over, by its sha256. */
const handed = new Map<string, Buffer>();
const destination: OutputDestination = {
  offer: async () => ({ received: 0, complete: false, refused: null }),
  send: async ({ sha256, bytes, offset }) => {
    handed.set(sha256, Buffer.concat([handed.get(sha256) ?? Buffer.alloc(0), bytes]));
    return { received: offset + bytes.length, complete: true, refused: null };
  },
};

let server: LoopbackSource;
let host: TestHost;
let tiny: string;

beforeAll(async () => {
  server = await loopbackSource(async (request, response, url) => {
    const bytes = handed.get(url.pathname.split('/').at(-1) ?? '');
    if (bytes) await sendContent(request, response, contentOf(bytes));
    else response.writeHead(404).end();
  });
  host = await openTestHost({
    outputs: destination,
    revisions: revisionSource(controlPlaneOrigin(server.origin), () => 'bearer'),
  });
  tiny = await host.image('tiny');
});
afterAll(async () => {
  await host?.close();
  server?.close();
});

async function run(id: string, line: string, over: Partial<JobPlan>) {
  const base = planOf(over);
  const mounts = [{ volume: 'data', path: '/data', read_only: false }];
  const resources = { gpu_count: 0, cpu_cores: 0.1, memory_gib: 0.0625 };
  const result = await host.run('workload.job_launch', {
    ...base,
    identity: { ...base.identity, job_id: id, allocation_id: host.policy.allocation.id },
    images: base.images.map((image) => ({ ...image, source: { ...image.source, reference: tiny } })),
    resources: { gpu_count: 0, cpu_cores: 0.2, memory_gib: 0.125 },
    volumes: [{ name: 'data' }],
    steps: [
      step('task', {
        ...{ command: words('/bin/sh', '-c', line), resources, mounts },
        results: [{ name: 'said', regex: '^said (.*)$', channels: ['stdout'] }],
      }),
    ],
  });
  return { failure: result.failure, output: result.output as JobTaskOutput | null };
}

it('has all that was in it, and can be written on', async () => {
  const outputs = [{ name: 'ckpt', volume: 'data', path: 'ckpt', type: 'checkpoint' as const, required: true }];
  const write = [
    ...['mkdir -p /data/ckpt/step/__pycache__ /data/ckpt/empty', 'cd /data/ckpt', 'echo seven > step/7'],
    ...['echo c > step/__pycache__/c', 'ln -s step/7 latest', 'ln -s /etc/passwd out', 'echo "#!/bin/sh" > go'],
    ...['echo "echo went" >> go', 'chmod +x go'],
  ].join(' && ');
  const read = [
    ...['cd /data/ckpt', 'echo said $(cat latest)', 'echo said $(./go)', 'echo said $(cat step/__pycache__/c)'],
    ...['test -L latest', 'test -d empty', 'test ! -L out', 'echo eight > step/8', 'echo more >> step/7'],
    ...['echo said $(cat latest)'],
  ].join(' && ');

  const first = await run('job-folder-1', write, { outputs });
  const [kept] = (first.output?.outputs ?? []).filter(({ name }) => name === 'ckpt');
  if (!kept) throw new Error(`nothing was kept: ${JSON.stringify(first)}`);
  expect(kept).toMatchObject({ kind: 'checkpoint', media_type: 'application/x-tar' });
  const { name, sha256, bytes } = kept;
  const second = await run('job-folder-2', read, {
    inputs: [
      {
        ...{ id: 'resume-1', volume: 'data', required: true, cache_seconds: 3600 },
        source: {
          ...{ kind: 'output', job_id: 'job-folder-1', name, sha256, bytes, path: 'ckpt' },
          media_type: 'application/x-tar',
        },
      },
    ],
  });

  expect(second.failure).toBeNull();
  expect(second.output?.report?.steps).toMatchObject([
    { state: 'succeeded', results: { said: ['seven', 'went', 'c', 'seven more'] } },
  ]);
});

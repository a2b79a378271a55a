/** What a program saves when it is asked to end, and what one leaves that is killed while it writes (C-71). */
import { createHash } from 'node:crypto';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { JobTaskOutput } from '../../src/contract/job-output.ts';
import { plan as planOf, step, words } from '../support/job-plans.ts';
import { openTestHost, type TestHost } from '../support/test-host.ts';

let host: TestHost;
let tiny: string;

beforeAll(async () => {
  host = await openTestHost({
    outputs: {
      offer: async () => ({ received: 0, complete: false, refused: null }),
      send: async ({ bytes, offset }) => ({ received: offset + bytes.length, complete: true, refused: null }),
    },
  });
  tiny = await host.image('tiny');
});
afterAll(() => host?.close());

/** Runs it until its time is over, when it gets SIGTERM, and SIGKILL after its grace. */
async function untilStopped(id: string, line: string, over: { grace: number; seconds: number }) {
  const events: { type: string; message: string }[] = [];
  const base = planOf({ volumes: [{ name: 'data' }], stop_grace_seconds: over.grace });
  const resources = { gpu_count: 0, cpu_cores: 0.1, memory_gib: 0.0625 };
  const { failure, output } = await host.run(
    'workload.job_launch',
    {
      ...base,
      identity: { ...base.identity, job_id: id, allocation_id: host.policy.allocation.id },
      images: base.images.map((image) => ({ ...image, source: { ...image.source, reference: tiny } })),
      resources,
      steps: [
        step('task', {
          ...{ command: words('/bin/sh', '-c', line), resources, timeout_seconds: over.seconds },
          mounts: [{ volume: 'data', path: '/data', read_only: false }],
        }),
      ],
      outputs: [{ name: 'ckpt', volume: 'data', path: 'ckpt', type: 'checkpoint', required: false }],
    },
    { onEvent: (event) => void events.push(event) },
  );
  const { outputs = [], report } = output as JobTaskOutput;
  return { failure, report, kept: outputs.find(({ name }) => name === 'ckpt'), events };
}

it.each([0, 1, 100])('what is saved on SIGTERM is kept, whatever the program then ends with: %i', async (status) => {
  const line = `trap 'echo saved > /data/ckpt; exit ${status}' TERM; while :; do sleep 0.1; done`;

  const { report, kept } = await untilStopped(`job-saves-${status}`, line, { grace: 10, seconds: 2 });

  expect(report?.steps).toMatchObject([{ state: 'timed_out', exit_code: status }]);
  expect(kept?.sha256).toBe(createHash('sha256').update('saved\n').digest('hex'));
});

it('what is being written is told of once, and not kept where the program is killed', async () => {
  const line = `trap '' TERM; while :; do echo part >> /data/ckpt; sleep 0.1; done`;

  const { report, kept, events } = await untilStopped('job-writes', line, { grace: 1, seconds: 7 });

  expect(report?.steps).toMatchObject([{ exit_code: null, signal: 'SIGKILL' }]);
  expect(kept).toBeUndefined();
  const told = events.filter(({ type }) => type === 'output.unsettled');
  expect(told.map(({ message }) => message)).toEqual([expect.stringContaining('ckpt is being written')]);
  expect(events.map(({ type }) => type)).toContain('output.failed');
});

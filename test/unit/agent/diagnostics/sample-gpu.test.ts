import { expect, it } from 'vitest';
import { type SampleParts, sampleGpu } from '../../../../src/agent/diagnostics/sample-gpu.ts';
import { AgentError } from '../../../../src/contract/failures.ts';
import type { TaskResult } from '../../../../src/contract/task-envelope.ts';
import { judge } from '../../../../src/contract/validate.ts';
import { WorkloadOciLaunchParams } from '../../../../src/contract/workload-oci-launch.ts';
import { WorkloadOciRemoveParams } from '../../../../src/contract/workload-oci-remove.ts';
import { sampleGpu as card } from '../../../support/gpus.ts';
import { imageFacts } from '../../../support/recording-engine.ts';
import { launchParams } from '../../../support/task-bench.ts';

const patience = new AbortController().signal;
const reference = (letter: string) => `127.0.0.1:5000/curated/app@sha256:${letter.repeat(64)}`;
const image = (letter: string) => ({
  kind: 'registry' as const,
  reference: reference(letter),
  media_type: 'application/vnd.oci.image.manifest.v1+json' as const,
});

/** Newest launch first; `held` are the images that the engine still has. */
function host({
  cards = [card()],
  launched = ['a'],
  held = ['a'],
  failure = null as AgentError | null,
  stays = null as AgentError | null,
} = {}) {
  const ran: { type: string; params: object }[] = [];
  const tasks = launched.map((letter) => ({
    envelope: { type: 'workload.oci_launch', params: launchParams({ image: image(letter) }) },
  }));
  const parts: SampleParts = {
    ...{ allocationId: 'alloc-1', cards: () => cards },
    journal: { tasks: () => [{ envelope: { type: 'agent.drain', params: {} } }, ...tasks] as never },
    engine: {
      image: async (name) => (held.some((letter) => name === reference(letter)) ? imageFacts(name) : undefined),
    },
    run: async (task) => {
      ran.push(task);
      const failed = task.type === 'workload.oci_launch' ? failure : stays;
      return { status: failed ? 'failed' : 'succeeded', failure: failed?.toFailure() ?? null } as TaskResult;
    },
  };
  return { parts, ran };
}

it('has a container look at a card that it was given, and takes it away again', async () => {
  const { parts, ran } = host();

  const found = await sampleGpu(parts, patience);

  expect(found).toMatchObject({ name: 'gpu.sample', status: 'ok', fix: null });
  expect(ran.map(({ type }) => type)).toEqual(['workload.oci_launch', 'workload.oci_remove']);
  expect(judge(WorkloadOciLaunchParams, ran[0]?.params).ok).toBe(true);
  expect(judge(WorkloadOciRemoveParams, ran[1]?.params).ok).toBe(true);
  expect(ran[0]?.params).toMatchObject({
    resources: { gpu_count: 1 },
    // Where drivers of machines that are images themselves are mounted, and no image looks.
    env: { PATH: expect.stringContaining(':/usr/local/nvidia/bin') },
    readiness: [{ type: 'exec', command: ['nvidia-smi', '-L'] }],
  });
});

it('takes the newest image that is still there, and downloads none', async () => {
  const { parts, ran } = host({ launched: ['c', 'b', 'a'], held: ['a', 'b'] });

  await sampleGpu(parts, patience);

  expect(ran[0]?.params).toMatchObject({ image: { reference: reference('b') } });
});

it('says what a container could not do, and takes that away too', async () => {
  const { parts, ran } = host({ failure: new AgentError('readiness.timed_out', { answer: 'exit code 126' }) });

  expect(await sampleGpu(parts, patience)).toMatchObject({
    status: 'fail',
    found: expect.stringMatching(/nvidia-smi -L: exit code 126\. \[readiness\.timed_out\]$/),
    fix: expect.stringContaining('node-agent explain'),
  });
  expect(ran.map(({ type }) => type)).toEqual(['workload.oci_launch', 'workload.oci_remove']);
});

it.each([
  ['no card', { cards: [] }, 'has no card'],
  ['no free one', { cards: [card({ held_by: 'notebook-1' })] }, 'No card is free'],
  ['none that is well', { cards: [card({ health: 'unhealthy', reason: 'It does not answer.' })] }, 'No card is free'],
  ['no image', { held: [] }, 'holds no image'],
  ['a card that somebody took meanwhile', { failure: new AgentError('gpu.none_free') }, 'No card is free'],
  ['no room beside what runs', { failure: new AgentError('resources.exceeded') }, 'to spare for a sample'],
])('is skipped where there is %s', async (_what, given, words) => {
  expect(await sampleGpu(host(given).parts, patience)).toMatchObject({
    status: 'skipped',
    found: expect.stringContaining(words),
  });
});

it('fails where its container stays, whatever that saw', async () => {
  const { parts } = host({ stays: new AgentError('engine.timed_out') });

  expect(await sampleGpu(parts, patience)).toMatchObject({
    status: 'fail',
    found: expect.stringContaining('[engine.timed_out]'),
  });
});

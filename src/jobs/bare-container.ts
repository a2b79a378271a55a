/** A container of a job that never starts: something to put files into, or to look into. */
import type { JobPlan } from '../contract/job-plan.ts';
import { toItsEnd } from '../kit/to-its-end.ts';
import { noCards } from '../policy/given-cards.ts';
import { type JobPartMount, renderJobContainer } from '../policy/render-job-container.ts';
import { imageAtHand } from './image-at-hand.ts';
import type { RunningJob } from './running-job.ts';

interface Bare {
  readonly id: string;
  readonly mounts: readonly JobPartMount[];
}

/** Its name. One that an earlier life of the agent has left is taken away first. */
export async function createBare(
  job: RunningJob,
  image: JobPlan['images'][number],
  { id, mounts }: Bare,
): Promise<string> {
  const { ground, plan } = job;
  const { reference, facts } = imageAtHand(job, image.id);
  const { name, request } = renderJobContainer({
    ...{ identity: plan.identity, sandbox: plan.sandbox, network: 'none', log_limits: plan.log_limits },
    ...{ read_only_root: false, policy: ground.policy, reference, image: facts },
    ...{ cards: noCards, taskId: ground.taskId, fencing: ground.fencing },
    part: {
      ...{ id, env: {}, mounts, aliases: [], ports: [], command: ['true'] },
      resources: { gpu_count: 0, cpu_cores: 0.1, memory_gib: 0.0625 },
      restart: { policy: 'no', max_retries: 0 },
    },
  });
  await ground.engine.remove(name, toItsEnd());
  await ground.engine.create(name, request, toItsEnd());
  return name;
}

/** A name that no part of the plan has. */
export function partId({ parts }: RunningJob, word: string): string {
  for (let number = 0; ; number += 1) {
    const id = `${word}-${number}`;
    if (!parts.some((part) => part.id === id)) return id;
  }
}

/** A part of a job that fits policy and image of `samples.ts`, and what is made of it. */
import { noCards } from '../../../src/policy/given-cards.ts';
import type { JobContainerRequest } from '../../../src/policy/job-request.ts';
import { type JobContainerInput, type JobPart, renderJobContainer } from '../../../src/policy/render-job-container.ts';
import { image, policy, reference } from './samples.ts';

export const part: JobPart = {
  id: 'train',
  entrypoint: ['/bin/sh', '-c'],
  command: ['echo done'],
  env: { HF_HOME: '/models', EPOCHS: '3' },
  work_dir: '/data/run',
  mounts: [
    { volume: 'data', path: '/data', read_only: false, from: 'volume' },
    { volume: 'shared', path: '/root/.cache', read_only: true, from: 'volume' },
    { volume: 'model', path: '/models', read_only: true, from: 'inputs' },
  ],
  resources: { gpu_count: 0, cpu_cores: 1.5, memory_gib: 2, shm_gib: 0.25 },
  aliases: ['trainer', 'trainer.local'],
  ports: [{ name: 'web', container_port: 8080, host_port: 28080, protocol: 'http' }],
  restart: { policy: 'on_failure', max_retries: 2 },
};

/** The input of a render, with fields of the part or of the job replaced. */
export function jobInput(
  changes: Partial<JobPart> = {},
  others: Partial<Omit<JobContainerInput, 'part'>> = {},
): JobContainerInput {
  return {
    identity: {
      ...{ project_id: 'project-1', job_id: 'job-1', allocation_id: 'alloc-1', display_name: 'A job' },
      ...{ dialect: 'nosana', document_sha256: 'c'.repeat(64) },
    },
    ...{ sandbox: 'runc', network: 'bridge', read_only_root: false, taskId: 'task-1', fencing: 7 },
    log_limits: { max_size_mib: 10, max_files: 3 },
    ...{
      part: { ...part, ...changes },
      policy,
      reference,
      image: { ...image, volumes: ['/var/cache'] },
      cards: noCards,
    },
    ...others,
  };
}

/** A request that both functions agree on, as it comes over the wire. */
export function acceptedJobRequest(): { name: string; request: JobContainerRequest } {
  const { name, request } = renderJobContainer(jobInput());
  return { name, request: JSON.parse(JSON.stringify(request)) };
}

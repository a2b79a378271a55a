/** Jobs that show all that their pages can show. */
import type { Failure } from '../../src/contract/failures.ts';
import type { Job, JobNews } from '../../src/server/db/entities/job.ts';
import { aJob, aJobStep, aStepReport, jobNews, secondOf } from './job-samples.ts';
import { allocationId } from './launch-samples.ts';

const attempt: Job['attempts'][number] = {
  ...{
    number: 1,
    allocation_id: allocationId,
    node_id: 'node-1',
    task_id: 'task-1',
    state: 'running',
    failure: null,
    begun: true,
  },
  ...{ resources: { gpu_count: 1, cpu_cores: 4, memory_gib: 16 }, dispatched_at: secondOf(0), ended_at: null },
};

const reference = `docker.io/library/python@sha256:${'a'.repeat(64)}`;
const options: Job['options'] = {
  ...{ sandbox: 'runc', gpu_count: 1, on_failure: 'stop', deadline_seconds: 86_400, keep: false, retries: 1 },
  allocation_id: null,
};

/** A job of many steps in the middle of its work: one of each state that a step can have then. */
export function runningJob(given: Partial<Job> = {}): { job: Job; news: JobNews } {
  const job = aJob({
    ...{ name: 'Train a model', options },
    needs: { gpu_count: 1, gpu_memory_mib: 22_888, cpu_cores: 4, memory_gib: 16, disk_gib: 1 },
    images: [
      { name: 'docker.io/library/python:3.12', reference, media_type: 'application/vnd.oci.image.index.v1+json' },
    ],
    steps: [
      aJobStep('fetch', { group: 'data' }),
      aJobStep('clean', { group: 'data', depends_on: ['fetch'] }),
      aJobStep('label', { group: 'data', depends_on: ['fetch'] }),
      aJobStep('store', { group: 'model', name: 'vector-store' }),
      aJobStep('train', { group: 'model', depends_on: ['store'] }),
      aJobStep('watch', { group: 'model', depends_on: ['store'] }),
      aJobStep('compare', { group: 'model', depends_on: ['train', 'watch'] }),
      aJobStep('publish', { group: 'op:publish' }),
    ],
    ...{ attempts: [attempt], steps_ended: 3, reason: 'Train a model runs on gpu-1.' },
    ...given,
  });
  const none = { started_at: null, ended_at: null, attempts: 0, container_id: null, exit_code: null } as const;
  const runs = { state: 'running', started_at: secondOf(20), ended_at: null, exit_code: null } as const;
  const news = jobNews(
    job,
    [
      aStepReport('fetch'),
      aStepReport('clean', { started_at: secondOf(13), ended_at: secondOf(19), results: { rows: ['18,204', '96'] } }),
      aStepReport('label', { started_at: secondOf(13), ended_at: secondOf(18) }),
      aStepReport('store', runs),
      aStepReport('train', { ...runs, attempts: 2 }),
      aStepReport('watch', { ...none, state: 'waiting' }),
      aStepReport('compare', { ...none, state: 'pending' }),
      aStepReport('publish', { ...none, state: 'pending' }),
    ],
    {
      endpoints: [
        {
          ...{ step: 'train', name: 'board', protocol: 'http', host: '127.0.0.1', port: 41_007, container_port: 6006 },
          url: 'http://127.0.0.1:41007/',
        },
      ],
    },
  );
  return { job, news };
}

/** How that job ends when a step of it is ended by the kernel. */
export function failedJob(given: Partial<Job> = {}): { job: Job; news: JobNews } {
  const failure: Failure = {
    ...({ code: 'step.failed', kind: 'unavailable', message: 'A step of the job failed.', retryable: false } as const),
    hint: 'Look at its log.',
    detail: { step: 'train', exit_code: 137 },
  };
  const before = runningJob(given);
  const job: Job = {
    ...before.job,
    ...{ state: 'failed', reason: 'Step train failed with exit code 137.', failure, ended_at: secondOf(95) },
    ...{ steps_ended: 8, attempts: [{ ...attempt, state: 'failed', failure, ended_at: secondOf(95) }] },
    warnings: [{ path: '/ops/3/args/cmd', code: 'shell_words', message: 'is given to the entrypoint as it stands' }],
    ...given,
  };
  const over = { ended_at: secondOf(95) };
  const ends: Record<string, Parameters<typeof aStepReport>[1]> = {
    store: { state: 'cancelled', ...over, exit_code: 143 },
    train: { state: 'failed', ...over, exit_code: 137, oom_killed: true, failure },
    watch: { state: 'timed_out', ...over, exit_code: null, signal: 'SIGKILL' },
    compare: { state: 'skipped', ...over },
    publish: { state: 'skipped', ...over },
  };
  const steps = before.news.report.steps.map((step) => ({ ...step, ...ends[step.id] }));
  return { job, news: jobNews(job, steps) };
}

/** As `readReceipt` reads it; nobody has signed it. */
export function unsignedReceipt(said: object): string {
  return ['{"alg":"EdDSA"}', JSON.stringify(said), 'signature']
    .map((part) => Buffer.from(part).toString('base64url'))
    .join('.');
}

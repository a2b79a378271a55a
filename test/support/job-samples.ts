/** A job as the control plane has it, and a node that runs it. */
import { createHash } from 'node:crypto';
import type { JobReceipt } from '../../src/contract/job-receipt.ts';
import type { CheckReport, StepReport } from '../../src/contract/job-report.ts';
import { signReceipt } from '../../src/policy/job-receipts.ts';
import type { Job, JobNews, JobStepFacts } from '../../src/server/db/entities/job.ts';
import type { Store } from '../../src/server/db/store.ts';
import { aNode } from './launch-samples.ts';

const at = '2026-11-25T10:00:00.000Z';
/** So many seconds after what samples begin with. */
export const secondOf = (second: number) => new Date(Date.parse(at) + second * 1000).toISOString();

export function aJob(given: Partial<Job> & { readonly node_id?: string } = {}): Job {
  const { node_id = 'node-1', ...job } = given;
  const resources = { gpu_count: 0, cpu_cores: 1, memory_gib: 1 };
  return {
    ...{ id: 'job-1', project_id: 'p1', name: 'A job', dialect: 'nosana', document_sha256: '0'.repeat(64) },
    options: {
      ...{
        sandbox: 'runc',
        gpu_count: 1,
        on_failure: 'stop',
        deadline_seconds: 3600,
        keep: false,
        retries: 0,
        allocation_id: null,
      },
    },
    needs: { gpu_count: 0, gpu_memory_mib: 0, cpu_cores: 1, memory_gib: 1, disk_gib: 0 },
    ...{ images: [], steps: [], warnings: [], state: 'running', state_since: at, reason: '', failure: null },
    ...{ steps_ended: 0, cancelled_at: null, removal_task_id: null, created_at: at, created_by: 'token-1' },
    attempts: [
      {
        ...{ number: 1, allocation_id: 'al-1', node_id, task_id: 'task-1', resources, state: 'running', failure: null },
        ...{ begun: true, dispatched_at: at, ended_at: null },
      },
    ],
    ...{ queued_at: at, started_at: at, ended_at: null, updated_at: at, trace_id: 'trace-1' },
    ...job,
  };
}

export function aJobStep(id: string, given: Partial<JobStepFacts> = {}): JobStepFacts {
  return { id, name: id, group: 'work', depends_on: [], image: 'docker.io/library/python:3.12', ...given };
}

export function aStepReport(id: string, given: Partial<StepReport> = {}): StepReport {
  return {
    ...{ id, state: 'succeeded', started_at: secondOf(1), ended_at: secondOf(13), attempts: 1, container_id: 'c1' },
    ...{ exit_code: 0, signal: null, oom_killed: false, results: {}, failure: null },
    ...given,
  };
}

export function aCheckReport(id: string, given: Partial<CheckReport> = {}): CheckReport {
  return {
    ...{ kind: 'command', id, label: null, state: 'passed', reason: null, duration_ms: 12, output: null },
    ...given,
  };
}

/** Three checks, the last of which has failed and said so, with what would steer a terminal. */
export const checksOfAll: CheckReport[] = [
  aCheckReport('python', { kind: 'executable' }),
  aCheckReport('job.py', { kind: 'file', state: 'failed', reason: 'is not there: nothing is at /workspace/job.py' }),
  aCheckReport('check-1', {
    label: 'numpy import',
    state: 'failed',
    reason: 'It ended with 1.',
    output: 'no \u001b[31mnumpy',
  }),
];

/** What its node says of a job and of these steps. */
export function jobNews(job: Job, steps: readonly StepReport[], given: Partial<JobNews> = {}): JobNews {
  const { state, started_at, ended_at, failure } = job;
  return {
    ...{ id: job.id, attempt: 1, endpoints: [], outputs: [], receipt: null },
    report: { state, summary: job.reason, started_at, ended_at, steps: [...steps], failure },
    ...given,
  };
}

/** Signed by nobody. */
export function aReceipt(given: Partial<JobReceipt> = {}): string {
  const receipt: JobReceipt = {
    ...{ version: 1, node_id: 'node-1', chain: 'c1', number: 1, previous: null, job_id: 'job-1', project_id: 'p1' },
    ...{ allocation_id: 'al-1', task_id: 'task-1', attempt: 1, plan_sha256: '1'.repeat(64), images: [] },
    ...{ document_sha256: '2'.repeat(64), inputs: [], steps: [], outputs: [], state: 'succeeded' },
    ...{ started_at: null, ended_at: null, ...given },
  };
  return signReceipt(receipt, {
    publicJwk: { kty: 'OKP', crv: 'Ed25519', x: 'x'.repeat(43) },
    sign: () => 'c2lnbmVk',
  });
}

/** Makes a node, and gives the bearer of its session. */
export async function nodeWithSession(store: Store, id: string): Promise<string> {
  const bearer = `${id}.1.${'b'.repeat(43)}`;
  const bearer_hash = createHash('sha256').update(bearer).digest('base64url');
  await store.write((tx) => tx.nodes.insert(aNode({ id, bearer_hash, epoch_confirmed: 1 })));
  return bearer;
}

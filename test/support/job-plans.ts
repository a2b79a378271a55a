/** Plans of jobs that the policy of the task bench allows, and what is known of such jobs. */
import type { JobPlan, JobStep } from '../../src/contract/job-plan.ts';
import type { JobState, StepState } from '../../src/contract/job-state.ts';
import type { ListValue } from '../../src/contract/job-values.ts';
import type { KeptJob, StepRecord } from '../../src/jobs/job-record.ts';
import { imageReference } from './task-bench.ts';

export const jobIdentity: JobPlan['identity'] = {
  ...{ project_id: 'project-7', job_id: 'job-1', allocation_id: 'alloc-1', display_name: 'A job' },
  ...{ dialect: 'nosana', document_sha256: '0'.repeat(64) },
};

export const words = (...items: string[]): ListValue => ({ items, omit_if_empty: false });

export function step(id: string, over: Partial<JobStep> = {}): JobStep {
  return {
    ...{ id, group: id, image: 'main', command: words('true'), env: { values: {}, merge: [] }, mounts: [] },
    ...{ resources: { gpu_count: 0, cpu_cores: 0.5, memory_gib: 0.25 }, aliases: [], depends_on: [], stops_with: [] },
    ...{ expose: [], restart: { policy: 'no', max_retries: 0 }, results: [], needs: [], ...over },
  };
}

/** A service of one container, which is ready when it runs. */
export function service(id: string): JobPlan['services'][number] {
  const { image, command = words(), env, mounts, resources } = step(id);
  const restart = { policy: 'no', max_retries: 0 } as const;
  return { id, image, command, env, mounts, resources, expose: [], restart, ready_seconds: 60 };
}

export function plan(over: Partial<JobPlan> = {}): JobPlan {
  const media_type = 'application/vnd.oci.image.manifest.v1+json';
  return {
    ...{ identity: jobIdentity, sandbox: 'runc', resources: { gpu_count: 0, cpu_cores: 1, memory_gib: 1 } },
    images: [{ id: 'main', source: { kind: 'registry', reference: imageReference, media_type } }],
    ...{ volumes: [], inputs: [], services: [], checks: [], init: [], steps: [step('one')], outputs: [] },
    ...{ read_only_root: false, network: 'bridge', on_failure: 'stop', deadline_seconds: 600, stop_grace_seconds: 5 },
    ...{ keep: false, log_limits: { max_size_mib: 10, max_files: 2 }, ...over },
  };
}

export function stepRecord(id: string, state: StepState, over: Partial<StepRecord> = {}): StepRecord {
  return {
    ...{ id, state, started_at: null, ended_at: null, attempts: 0, container_id: null, exit_code: null, signal: null },
    ...{
      oom_killed: false,
      results: {},
      failure: null,
      ports: [],
      ready: false,
      unhealthy: 0,
      ending: null,
      run_started_at: null,
      starting: false,
      ...over,
    },
  };
}

/** A job of one step that stands so. */
export function keptJob(state: JobState, stepState: StepState, over: Partial<KeptJob> = {}): KeptJob {
  return {
    ...{ job_id: 'job-1', task_id: 'task-0', fencing: 1, plan: plan() },
    record: {
      ...{ state, accepted_at: '2026-11-23T10:00:00.000Z', started_at: '2026-11-23T10:00:00.000Z', ended_at: null },
      ...{ deadline_at: Date.parse('2026-11-23T11:00:00.000Z'), cancelled: false, failure: null, images: {} },
      ...{ inputs: {}, filled: [], outputs: [], receipt: null, steps: { one: stepRecord('one', stepState) } },
    },
    ...over,
  };
}

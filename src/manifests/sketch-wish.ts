/** What a submission decides, where a document is only looked at: enough of everything. */
import type { JobPlan } from '../contract/job-plan.ts';
import type { PlanWish } from './planned-job.ts';

export function sketchWish(dialect: JobPlan['identity']['dialect']): PlanWish {
  return {
    identity: {
      ...{ project_id: 'project', job_id: 'job', allocation_id: 'allocation', display_name: 'job' },
      ...{ dialect, document_sha256: '0'.repeat(64) },
    },
    ...{ sandbox: 'runc', resources: { gpu_count: 1, cpu_cores: 4096, memory_gib: 65_536 } },
    ...{ on_failure: 'stop', deadline_seconds: 3600, keep: false, pins: {} },
  };
}

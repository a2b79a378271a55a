/** What holds for a job of which nobody says otherwise: the same where it is submitted and where its plan is only looked at. */
export const usualJob = {
  sandbox: 'runc',
  gpu_count: 1,
  on_failure: 'stop',
  deadline_seconds: 86_400,
  keep: false,
  retries: 0,
} as const;

/** Retries where nobody says how many: what goes on from checkpoints is begun anew, others are not. */
export function usualRetries({ resume_from_latest: isResumed = false } = {}): number {
  return isResumed ? 3 : usualJob.retries;
}

/** In a plan that is only looked at, in place of the share of its host that a job gets where nobody says how much. */
export const sketchedShare = { cpu_cores: 1, memory_gib: 1 } as const;

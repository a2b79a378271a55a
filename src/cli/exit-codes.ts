/** What the exit status of `node-agent` means. Contract: scripts rely on it. */
export const exitCodes = {
  /** Done. For `run-task`: the task succeeded. For `doctor`: nothing fails. */
  ok: 0,
  /** The task failed or was cancelled; a check of `doctor` failed. */
  failed: 1,
  /** The command line, the file or the configuration cannot be used; nothing was done. */
  unusable: 2,
  /** The task was refused before anything was done. */
  rejected: 3,
  /** Another node-agent process is at work; try again later (EX_TEMPFAIL). */
  busy: 75,
  /** `run` and `gate`: the configuration cannot be used. A supervisor must not start it again unchanged (EX_CONFIG). */
  misconfigured: 78,
} as const;

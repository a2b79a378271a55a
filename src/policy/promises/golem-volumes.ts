/** Volumes of a job of a computation payload manifest. Files of its transfers go to and from these alone: a sandbox sees nothing else come. */

/** Each is at `/golem/` and its name. */
export const golemVolumes = ['input', 'output', 'work', 'resource'] as const;
export const golemFolder = '/golem';

/**
 * How much a folder may have that is kept of a job: who keeps one and who lays it again agree on it, and on what may lie in one
 * (`EntryTree`). So what was kept can be laid.
 */
export const mostInFolder = {
  entries: 200_000,
  /** Bytes of all paths and link targets together: they are held in memory. */
  names: 64 * 1024 ** 2,
} as const;

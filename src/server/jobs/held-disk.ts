/** What jobs at work leave of the disk of their host. Pure. */

/** The disk that a job at work asks for, in GiB. */
export interface DiskClaim {
  readonly own: number;
  /** Once for all jobs of its revision there. */
  readonly shared: number;
  /** Its revision; undefined where it is of none. */
  readonly revision: string | undefined;
  /** What its host could give when it was given the job; undefined where nobody has noted that. */
  readonly found: number | undefined;
}

/**
 * Of what a host can give now. All that a job asks for is held until it is over, also while it has written none of it. What it has written
 * counts once: a job and those that were begun after it have to fit into the most that their host could give since then. `claims`: oldest first.
 */
export function diskLeft(now: number, claims: readonly DiskClaim[]): number {
  const shared = new Map<string, number>();
  let held = 0;
  let most = now;
  let left = now;
  for (const { own, shared: together, revision = '', found = now } of claims.toReversed()) {
    const known = shared.get(revision) ?? 0;
    shared.set(revision, Math.max(known, together));
    held += own + Math.max(0, together - known);
    most = Math.max(most, found);
    left = Math.min(left, most - held);
  }
  return Math.max(0, left);
}

/**
 * When something happened that a node reports, in milliseconds since 1970: as the node says, since it may tell of it long
 * after, but not in the future, and not before `since`, whatever a clock that was set back says. What is settled by then no
 * node can change by what time it says.
 */
export function happenedAt(said: string, since: string, now: number): number {
  const at = Date.parse(said);
  return Math.max(Date.parse(since), Number.isNaN(at) ? now : Math.min(now, at));
}

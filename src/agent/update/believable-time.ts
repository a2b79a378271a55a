/** What a clock that nobody vouches for says, where a release is judged without a session. Pure. */

/** No host that runs this program lives before it was written. */
const firstMs = Date.UTC(2026, 10, 1);
/** A clock may be wrong by a day either way and more is somebody's doing or a dead battery. */
const slackMs = 2 * 24 * 60 * 60 * 1000;

/**
 * A moment that has certainly passed, in milliseconds since 1970; null where the clock is known to be wrong. What expires a
 * while later than it should is found by the agent, which knows the time of the control plane.
 */
export function believableTime(wallMs: number): number | null {
  return wallMs < firstMs ? null : wallMs - slackMs;
}

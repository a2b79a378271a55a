/** Where outputs of jobs are handed over: the control plane, by the bearer of the session. */

import { AgentError } from '../../contract/failures.ts';
import { OutputReceived } from '../../contract/job-outputs.ts';
import { jobOutputsPath } from '../../contract/signing.ts';
import type { OutputDestination } from '../../jobs/outputs/hand-over.ts';
import { post, put } from './client.ts';
import type { ControlPlaneOrigin } from './origin.ts';

/** Both calls throw `control_plane.unavailable` where there is no session. */
export function outputDestination(origin: ControlPlaneOrigin, bearerNow: () => string | undefined): OutputDestination {
  const bearer = () => {
    const present = bearerNow();
    if (present !== undefined) return present;
    throw new AgentError('control_plane.unavailable', { reason: 'There is no session at the moment.' });
  };
  const answer = OutputReceived;
  return {
    offer: async (body, signal) => await post(origin, jobOutputsPath, { body, answer, bearer: bearer(), signal }),
    send: async ({ job, sha256, offset, bytes, timeoutMs }, signal) =>
      await put(origin, `${jobOutputsPath}/${job}/${sha256}?offset=${offset}`, {
        ...{ bytes, answer, bearer: bearer(), timeoutMs, signal },
      }),
  };
}

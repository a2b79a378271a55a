/** Where outputs of jobs are handed over: the control plane, by the bearer of the session. */

import { AgentError } from '../../contract/failures.ts';
import { OutputReceived } from '../../contract/job-outputs.ts';
import { earlyOutputsPath, jobOutputsPath } from '../../contract/signing.ts';
import type { OutputDestination } from '../../jobs/outputs/hand-over.ts';
import { post, put, remove } from './client.ts';
import type { ControlPlaneOrigin } from './origin.ts';

/** All calls throw `control_plane.unavailable` where there is no session. */
export function outputDestination(origin: ControlPlaneOrigin, bearerNow: () => string | undefined): OutputDestination {
  const bearer = () => {
    const present = bearerNow();
    if (present !== undefined) return present;
    throw new AgentError('control_plane.unavailable', { reason: 'There is no session at the moment.' });
  };
  const answer = OutputReceived;
  return {
    offer: async (body, signal) => await post(origin, jobOutputsPath, { body, answer, bearer: bearer(), signal }),
    send: async ({ job, sha256, offset, bytes, early, timeoutMs }, signal) => {
      const before = early === undefined ? '' : `&early=${early}`;
      return await put(origin, `${jobOutputsPath}/${job}/${sha256}?offset=${offset}${before}`, {
        ...{ bytes, answer, bearer: bearer(), timeoutMs, signal },
      });
    },
    early: {
      begin: async (body, signal) => await post(origin, earlyOutputsPath, { body, answer, bearer: bearer(), signal }),
      send: async ({ upload, offset, bytes, timeoutMs }, signal) =>
        await put(origin, `${earlyOutputsPath}/${upload}?offset=${offset}`, {
          ...{ bytes, answer, bearer: bearer(), timeoutMs, signal },
        }),
      drop: async (upload, signal) => {
        await remove(origin, `${earlyOutputsPath}/${upload}`, { answer, bearer: bearer(), signal });
      },
    },
  };
}

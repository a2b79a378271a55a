/** Where the files of jobs are fetched: the control plane, by the bearer of the session, which is never written down. */
import { request as requestPlain } from 'node:http';
import { request as requestTls } from 'node:https';
import { AgentError } from '../../contract/failures.ts';
import { jobOutputsPath, revisionsPath } from '../../contract/signing.ts';
import type { RevisionSource } from '../../jobs/inputs/job-inputs.ts';
import { answerOf } from '../../kit/answer-of.ts';
import { describeFailure, refusal } from './client.ts';
import type { ControlPlaneOrigin } from './origin.ts';

/** How long no byte may come. */
const usualStallMs = 20_000;

/** Asking throws `control_plane.unavailable` where there is no session, or none any more; nothing is redirected. */
export function revisionSource(
  origin: ControlPlaneOrigin,
  bearerNow: () => string | undefined,
  stallMs = usualStallMs,
): RevisionSource {
  return {
    urlOfOutput: ({ job_id, sha256 }) => new URL(`${origin.audience}${jobOutputsPath}/${job_id}/${sha256}`),
    urlOf: (sha256) => new URL(`${origin.audience}${revisionsPath}/${sha256}`),
    ask: async ({ url, signal, headers = {}, also = [] }) => {
      const bearer = bearerNow();
      if (bearer === undefined) {
        throw new AgentError('control_plane.unavailable', { reason: 'There is no session at the moment.' });
      }
      const send = origin.tls ? requestTls : requestPlain;
      const options = { headers: { ...headers, authorization: `Bearer ${bearer}` }, signal, agent: false };
      const request = send(url, { ...options, ...origin.tlsOptions() });
      request.setTimeout(stallMs, () => request.destroy(new Error('Nothing came any more'))).end();
      try {
        const response = await answerOf(request);
        const { statusCode: status = 0 } = response;
        if (status === 200 || status === 206 || also.includes(status)) return response;
        response.destroy();
        // The session may have been replaced meanwhile: its bearer ends with it.
        if (status !== 401) throw refusal(url.href, status, undefined);
        throw new AgentError('control_plane.unavailable', { reason: `It answered with status ${status}.`, status });
      } catch (error) {
        signal.throwIfAborted();
        throw error instanceof AgentError ? error : describeFailure(url.href, error);
      }
    },
  };
}

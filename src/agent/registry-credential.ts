/** The credential for pulling the image of one task: asked for when it is needed, opened in memory, kept nowhere. */
import { RegistryCredentialAnswer } from '../contract/enrolment.ts';
import { AgentError } from '../contract/failures.ts';
import { registryCredentialsPath } from '../contract/signing.ts';
import type { TaskEnvelope } from '../contract/task-envelope.ts';
import { judge } from '../contract/validate.ts';
import type { Clock } from '../kit/clock.ts';
import { PullCredential } from '../runtime/engine.ts';
import { post } from './control-plane/client.ts';
import type { ControlPlaneOrigin } from './control-plane/origin.ts';

export interface CredentialMeans {
  readonly origin: ControlPlaneOrigin;
  readonly bearer: () => string | undefined;
  readonly unseal: (jwe: string) => Promise<Buffer>;
  readonly clock: Clock;
}

/** How long a session that is just being made is waited for. */
const sessionPatienceMs = 20_000;
const lookMs = 100;

/**
 * Undefined for an open registry. `control_plane.unavailable` while there is no session, which is waited for a little.
 * Rejects with the signal's reason as soon as it is aborted.
 */
export function credentialSource({ origin, bearer, unseal, clock }: CredentialMeans) {
  return async (
    { task_id }: Pick<TaskEnvelope, 'task_id'>,
    signal: AbortSignal,
  ): Promise<PullCredential | undefined> => {
    const token = await untilBearer(bearer, clock, signal);
    const { credential } = await post(origin, registryCredentialsPath, {
      ...{ body: { task_id }, answer: RegistryCredentialAnswer, bearer: token, signal },
    });
    return credential === null ? undefined : await opened(credential, unseal);
  };
}

/** A task that is run again after a restart may be here before the session is. */
async function untilBearer(bearer: () => string | undefined, clock: Clock, signal: AbortSignal): Promise<string> {
  const until = clock.monotonicMs() + sessionPatienceMs;
  for (;;) {
    signal.throwIfAborted();
    const token = bearer();
    if (token !== undefined) {
      return token;
    }
    if (clock.monotonicMs() >= until) {
      const reason = 'There is no session, so it cannot be asked for the pull credential.';
      throw new AgentError('control_plane.unavailable', { reason });
    }
    await clock.pause(lookMs, signal);
  }
}

async function opened(jwe: string, unseal: CredentialMeans['unseal']): Promise<PullCredential> {
  const judged = judge(PullCredential, parsed((await unseal(jwe)).toString('utf8')));
  if (!judged.ok) {
    throw new AgentError('control_plane.untrusted', { reason: 'What it sealed is no pull credential.' });
  }
  return judged.value;
}

/** Its text is not repeated in an error: it is, or should be, a secret. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) {
      return undefined;
    }
    throw error;
  }
}

/**
 * The credential for the image of one task: asked for when the engine is about to pull, sealed for this node alone, kept in
 * memory for that one pull.
 */
import { RegistryCredentialAnswer } from '../../contract/enrolment.ts';
import { AgentError } from '../../contract/failures.ts';
import { registryCredentialsPath } from '../../contract/signing.ts';
import { readStrictJson } from '../../contract/strict-json.ts';
import { judge } from '../../contract/validate.ts';
import { PullCredential } from '../../runtime/engine.ts';
import { post } from './client.ts';
import type { ControlPlaneOrigin } from './origin.ts';

export interface PullCredentialOptions {
  readonly origin: ControlPlaneOrigin;
  /** Token of the present session, if there is one. */
  readonly bearer: () => string | undefined;
  /** Opens what is sealed for this node. */
  readonly unseal: (jwe: string) => Promise<Buffer>;
}

/**
 * Undefined where the registry asks for none. `control_plane.unavailable` without a session: the credential is of its
 * epoch. `secret.unavailable` where it is not sealed for this node.
 */
export async function fetchPullCredential(
  taskId: string,
  { origin, bearer, unseal }: PullCredentialOptions,
): Promise<PullCredential | undefined> {
  const token = bearer();
  if (token === undefined) {
    throw new AgentError('control_plane.unavailable', { reason: 'There is no session to ask for a credential with.' });
  }
  const { credential } = await post(origin, registryCredentialsPath, {
    ...{ body: { task_id: taskId }, answer: RegistryCredentialAnswer, bearer: token },
  });
  if (credential === null) {
    return undefined;
  }
  const opened = readStrictJson(await unseal(credential));
  const judged = opened.ok ? judge(PullCredential, opened.value) : opened;
  if (!judged.ok) {
    throw new AgentError('control_plane.untrusted', { reason: 'Its credential is not what was agreed on.' });
  }
  return judged.value;
}

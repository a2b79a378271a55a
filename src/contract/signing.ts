/**
 * What agent and control plane sign, and the names around it. Every signed text begins with a domain of its own, so that
 * a signature made for one purpose is worthless for another.
 *
 * All signatures are Ed25519 over the UTF-8 bytes of the text; keys travel as JWK (RFC 8037), signatures as base64url.
 */

/** WebSocket subprotocol of the session. */
export const sessionSubprotocol = 'gpuaas.agent.v1';
export const sessionPath = '/agent/v1/session';
export const enrolPath = '/agent/v1/enroll';
export const rotateKeysPath = '/agent/v1/node-keys';
export const registryCredentialsPath = '/agent/v1/registry-credentials';
/** Answers with exactly the `pinText` of a join token, to whoever wants to compare it with the token's pin. */
export const trustPath = '/agent/v1/trust';
export const invitationPath = '/agent/v1/invitation';
/** Behind it `/<version or channel>/<file>`, for a node by the bearer of its session. */
export const releasesPath = '/agent/v1/releases';
/** Behind it `/<channel>/<file>`, for whoever has a join token. */
export const bootstrapPath = '/agent/v1/bootstrap';
/** Behind it `/<job_id>/<sha256>`, where a node puts what is kept of a job, by the bearer of its session. */
export const jobOutputsPath = '/agent/v1/job-outputs';
/** Behind it `/<upload>`, where a node puts an output that it still reads, by the bearer of its session. */
export const earlyOutputsPath = '/agent/v1/early-outputs';
/** Behind it `/<sha256>`, where a node gets the tar of a revision that it has a job of, by the bearer of its session. */
export const revisionsPath = '/agent/v1/revisions';
export const goodbyePath = '/agent/v1/goodbye';

/** Most bytes of one text frame, either way; a larger one ends the session with 1009. */
export const maxFrameBytes = 1024 * 1024;

/** Most bytes that a node may say before its welcome, more than the longest hello takes; with more it is sent away. */
export const maxFirstWordsBytes = 32 * 1024;

/** Most bytes of the reason in a closing frame (RFC 6455, 5.5): the code takes two of its 125. */
export const maxCloseReasonBytes = 123;

/** Why a session was closed, beyond the codes of RFC 6455. */
export const closeCodes = {
  /** A message that no schema accepts, too often. */
  protocolError: 4400,
  /** The signature of the hello is wrong, or the node is unknown. */
  unauthenticated: 4401,
  /** The node was revoked: it must not come back. */
  revoked: 4403,
  /** A newer session of the same node has taken over; the owner of this one waits 60 s. */
  superseded: 4409,
  /** Two hosts use one identity: an operator has to decide. */
  quarantined: 4423,
  /** The control plane is going away; `retry_after` was said before. */
  goingAway: 1001,
} as const;

/** Protected header of a task: `{alg: 'EdDSA', kid, typ}`. */
export const taskJwsType = 'gpuaas-task+jws';
/** Protected header of a message that hands the task key on: signed with the old key, payload `TaskKeyRotation`. */
export const rotationJwsType = 'gpuaas-task-key+jws';

interface HelloFacts {
  readonly nonce: string;
  readonly audience: string;
  readonly node_id: string;
  readonly epoch: number;
  readonly boot_id: string;
}

/** What the node signs in its hello. The nonce is the control plane's, so clocks do not matter and nothing can be replayed. */
export function helloText({ nonce, audience, node_id, epoch, boot_id }: HelloFacts): string {
  return lines('gpuaas-agent-hello-v1', nonce, audience, node_id, String(epoch), boot_id);
}

interface EnrolFacts {
  readonly token_id: string;
  readonly audience: string;
  readonly identity_key: { readonly x?: string };
  readonly wrapping_key: { readonly x?: string };
}

/** What the node signs with its identity key when it enrols: proof that it has the private half. */
export function enrolText({ token_id, audience, identity_key, wrapping_key }: EnrolFacts): string {
  return lines('gpuaas-agent-enrol-v1', token_id, audience, identity_key.x ?? '', wrapping_key.x ?? '');
}

interface RotateFacts {
  readonly node_id: string;
  readonly audience: string;
  readonly identity_key: { readonly x?: string };
  readonly wrapping_key: { readonly x?: string };
}

/** What the node signs, with the old and with the new identity key, when it rotates its keys. */
export function rotateText({ node_id, audience, identity_key, wrapping_key }: RotateFacts): string {
  return lines('gpuaas-agent-rotate-v1', node_id, audience, identity_key.x ?? '', wrapping_key.x ?? '');
}

interface GoodbyeFacts {
  readonly node_id: string;
  readonly audience: string;
}

/** What a node signs with its identity key when it leaves for good. Whoever repeats it revokes what is revoked. */
export function goodbyeText({ node_id, audience }: GoodbyeFacts): string {
  return lines('gpuaas-agent-goodbye-v1', node_id, audience);
}

interface PinnedKeys {
  readonly task_key: { readonly x?: string };
  readonly release_root: { readonly x?: string };
  /** PEM of the CA that signs the control plane's certificate; empty where the system's CAs are used. */
  readonly ca: string;
}

/** What `pin` in a join token is the sha256 (base64url) of: a node trusts nothing that its operator did not hand it. */
export function pinText({ task_key, release_root, ca }: PinnedKeys): string {
  return lines('gpuaas-join-pin-v1', task_key.x ?? '', release_root.x ?? '', ca.trim());
}

/** None of the parts may contain a line feed, but the last: otherwise two different lists could give one text. */
function lines(...parts: readonly string[]): string {
  if (parts.slice(0, -1).some((part) => part.includes('\n'))) {
    throw new Error('a signed part contains a line feed');
  }
  return parts.join('\n');
}

/**
 * How a host becomes a node: it shows a join token, proves that it has its keys, and learns whom to trust.
 *
 *   operator ── join token (id.secret.pin) ──▶ host ── POST enrol {keys, proof} ──▶ control plane
 *                                               host ◀── node id, task key, release root, CA ── (must match the pin)
 *
 * Idempotent on token and keys: a host that did not get the answer asks again with the same keys. Another key with a used
 * token is refused and told to the operator.
 */
import { type Static, Type } from 'typebox';
import { identifierPattern } from './identifiers.ts';

const closed = { additionalProperties: false } as const;
const base64url32 = '^[A-Za-z0-9_-]{43}$';

/** `id.secret.pin`: 64 bits of name, 256 bits of secret, and the hash of what the node may trust. */
export const joinTokenPattern = '^[a-z0-9]{16}\\.[A-Za-z0-9_-]{43}\\.[A-Za-z0-9_-]{43}$';

export const IdentityKey = Type.Object(
  {
    kty: Type.Literal('OKP', { description: 'Octet key pair.' }),
    crv: Type.Literal('Ed25519', { description: 'Curve; for signatures.' }),
    x: Type.String({ pattern: base64url32, description: 'Public key, base64url.' }),
  },
  { ...closed, description: 'Public Ed25519 key as JWK.' },
);
export type IdentityKey = Static<typeof IdentityKey>;

export const WrappingPublicKey = Type.Object(
  {
    kty: Type.Literal('OKP', { description: 'Octet key pair.' }),
    crv: Type.Literal('X25519', { description: 'Curve; for key agreement.' }),
    x: Type.String({ pattern: base64url32, description: 'Public key, base64url.' }),
  },
  { ...closed, description: 'Public X25519 key as JWK; secrets of tasks are sealed for it.' },
);
export type WrappingPublicKey = Static<typeof WrappingPublicKey>;

const Signature = Type.String({ pattern: '^[A-Za-z0-9_-]{86}$', description: 'Ed25519 signature, base64url.' });

export const EnrolRequest = Type.Object(
  {
    token_id: Type.String({ pattern: '^[a-z0-9]{16}$', description: 'First part of the join token.' }),
    token_secret: Type.String({ pattern: base64url32, description: 'Second part of the join token.' }),
    audience: Type.String({
      maxLength: 256,
      description: 'Origin that the host dialled, for example `https://cp:8443`.',
    }),
    identity_key: IdentityKey,
    wrapping_key: WrappingPublicKey,
    signature: { ...Signature, description: 'Over `enrolText`, by the identity key.' },
    host: Type.Object(
      {
        hostname: Type.String({ maxLength: 253, description: 'Name that the host gives itself.' }),
        agent_version: Type.String({ maxLength: 64, description: 'Version of the agent that enrols.' }),
        os: Type.String({ maxLength: 128, description: 'Operating system, for example `Debian 12`.' }),
        arch: Type.String({ maxLength: 32, description: 'Processor architecture: x64 or arm64.' }),
      },
      { ...closed, description: 'What the host says of itself; shown to operators, trusted by nobody.' },
    ),
  },
  { ...closed, description: 'A host asks to become a node.' },
);
export type EnrolRequest = Static<typeof EnrolRequest>;

export const Invitation = Type.Object(
  {
    allocation_id: Type.String({ pattern: identifierPattern, description: 'Allocation that the join token is for.' }),
    registries: Type.Array(Type.String({ maxLength: 256 }), {
      maxItems: 64,
      description: 'Hosts that the images of this control plane come from.',
    }),
    expires_at: Type.String({ description: 'RFC 3339 time when the token stops working.' }),
  },
  { ...closed, description: 'What a host must know before it can enrol, for whoever has a join token.' },
);
export type Invitation = Static<typeof Invitation>;

export const TaskKey = Type.Object(
  {
    kid: Type.String({ pattern: '^[A-Za-z0-9_-]{1,64}$', description: 'Name of the key in task headers.' }),
    jwk: IdentityKey,
  },
  { ...closed, description: 'A key that tasks are signed with.' },
);
export type TaskKey = Static<typeof TaskKey>;

export const EnrolAnswer = Type.Object(
  {
    node_id: Type.String({ pattern: identifierPattern, description: 'Name of the node from now on.' }),
    allocation_id: Type.String({ pattern: identifierPattern, description: 'Allocation that the token was made for.' }),
    task_key: TaskKey,
    release_root: { ...IdentityKey, description: 'Key that signs the release keys.' },
    ca: Type.String({ maxLength: 65536, description: 'PEM of the CA to trust; empty for the CAs of the system.' }),
  },
  { ...closed, description: 'The host is a node; `pin` of the token proves task key, release root and CA.' },
);
export type EnrolAnswer = Static<typeof EnrolAnswer>;

/** Payload of a rotation JWS, signed with the task key that it replaces. */
export const TaskKeyRotation = Type.Object(
  {
    next: TaskKey,
    retire_after: Type.String({ description: 'RFC 3339 time after which the old key is no longer accepted.' }),
  },
  { ...closed, description: 'The next task key, vouched for by the present one.' },
);
export type TaskKeyRotation = Static<typeof TaskKeyRotation>;

export const RotateRequest = Type.Object(
  {
    node_id: Type.String({ pattern: identifierPattern, description: 'The node whose keys change.' }),
    audience: Type.String({ maxLength: 256, description: 'Origin that the node dialled.' }),
    identity_key: IdentityKey,
    wrapping_key: WrappingPublicKey,
    old_signature: { ...Signature, description: 'Over `rotateText`, by the present identity key.' },
    new_signature: { ...Signature, description: 'Over `rotateText`, by the new identity key.' },
  },
  { ...closed, description: 'A node replaces its keys; the old ones stay valid until the first hello with the new.' },
);
export type RotateRequest = Static<typeof RotateRequest>;

export const RotateAnswer = Type.Object(
  {},
  { ...closed, description: 'The new keys are kept; asking again with the same ones gives the same answer.' },
);

export const GoodbyeRequest = Type.Object(
  {
    node_id: Type.String({ pattern: identifierPattern, description: 'The node that leaves.' }),
    audience: Type.String({ maxLength: 256, description: 'Origin that the node dialled.' }),
    signature: { ...Signature, description: 'Over `goodbyeText`, by the present identity key.' },
  },
  { ...closed, description: 'A node leaves for good: its keys are worth nothing from then on.' },
);
export type GoodbyeRequest = Static<typeof GoodbyeRequest>;

export const GoodbyeAnswer = Type.Object(
  {},
  { ...closed, description: 'The node is revoked; asking again is no harm.' },
);

export const RegistryCredentialRequest = Type.Object(
  { task_id: Type.String({ pattern: identifierPattern, description: 'A task that this node holds.' }) },
  { ...closed, description: 'Asks for the pull credential of a task, with the bearer of the session.' },
);
export type RegistryCredentialRequest = Static<typeof RegistryCredentialRequest>;

export const RegistryCredentialAnswer = Type.Object(
  {
    credential: Type.Union([Type.String({ maxLength: 65536 }), Type.Null()], {
      description: 'Compact JWE for the wrapping key of the node around a `PullCredential`; null for an open registry.',
    }),
    expires_at: Type.Union([Type.String(), Type.Null()], { description: 'RFC 3339 time; null where nothing expires.' }),
  },
  { ...closed, description: 'Pull credential for the one repository of the task, at most 15 minutes.' },
);
export type RegistryCredentialAnswer = Static<typeof RegistryCredentialAnswer>;

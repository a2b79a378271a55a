/** Hosts: how they join, who they are, and what was last heard of them. */
import { type Static, Type } from 'typebox';
import { updatePhases } from '../../../contract/agent-self-update.ts';
import { IdentityKey, WrappingPublicKey } from '../../../contract/enrolment.ts';
import { Failure } from '../../../contract/failures.ts';
import { InventoryBody, TopologyBody } from '../../../contract/records.ts';
import { releaseChannelPattern } from '../../../contract/release.ts';
import { WorkloadOciRuntimeStatusOutput } from '../../../contract/workload-oci-runtime-status.ts';
import { closed, id, nullable, secretHash, text, time } from './fields.ts';

export const JoinToken = Type.Object(
  {
    id: Type.String({ pattern: '^[a-z0-9]{16}$', description: 'First part of the token.' }),
    secret_hash: secretHash('sha256 of the second part.'),
    allocation_id: id('Allocation that the host will serve.'),
    task_kid: text(64, 'Task key that the third part of the token vouches for.'),
    created_at: time('When it was made.'),
    created_by: id('API token that made it.'),
    expires_at: time('When it stops working; at most an hour after it was made.'),
    used_at: nullable(time('When it was used.'), 'When a host used it; null until then.'),
    node_id: nullable(id('The node.'), 'The node that it became; null until then.'),
  },
  { ...closed, description: 'Lets one host become a node, once.' },
);
export type JoinToken = Static<typeof JoinToken>;

const NodeKeys = Type.Object(
  { identity_key: IdentityKey, wrapping_key: WrappingPublicKey },
  { ...closed, description: 'Public keys of a node.' },
);

/**
 *   queued ─▶ running ─▶ committed | rolled_back | failed | held (its operator keeps it from that version, or for now)
 *      └─────────┴─▶ cancelled
 */
export const nodeUpdateStates = [
  'queued',
  'running',
  'committed',
  'rolled_back',
  'failed',
  'held',
  'cancelled',
] as const;

const bytes = (description: string) => Type.Integer({ minimum: 0, description });

export const NodeUpdate = Type.Object(
  {
    state: Type.Enum([...nodeUpdateStates], {
      description:
        'rolled_back: the version before runs again. failed: nothing was changed. held: its operator keeps it from that version.',
    }),
    version: text(64, 'Version that it shall run.'),
    from: text(64, 'Version that it ran when it was asked to.'),
    phase: nullable(Type.Enum([...updatePhases], { description: 'Phase.' }), 'How far it is; null before it began.'),
    bytes: Type.Optional(bytes('Bytes that were fetched, of the file that it fetches.')),
    bytes_total: Type.Optional(bytes('Bytes of that file.')),
    since: time('When it came into this state or phase.'),
    failure: nullable(Failure, 'Why it does not run that version; null where it does, or may yet.'),
    task_id: id('The task that updates it.'),
    rollout_id: nullable(id('The rollout.'), 'Rollout that asked for it; null for a person.'),
  },
  { ...closed, description: 'The last update of its agent that was asked for.' },
);
export type NodeUpdate = Static<typeof NodeUpdate>;

export const Node = Type.Object(
  {
    id: id('The node.'),
    name: text(253, 'Name that the host gave itself when it enrolled.'),
    allocation_id: id('Allocation that it serves.'),
    status: Type.Enum(['enrolled', 'quarantined', 'revoked'], {
      description: 'quarantined: two hosts use its identity, an operator has to decide. revoked: must not come back.',
    }),
    status_reason: nullable(text(500, 'Why.'), 'Why it is not simply enrolled; null if it is.'),
    identity_key: IdentityKey,
    wrapping_key: WrappingPublicKey,
    next_keys: nullable(NodeKeys, 'Keys after a rotation, until the first hello that uses them; null if none wait.'),
    former_keys: Type.Optional(
      Type.Array(
        Type.Object(
          { key: IdentityKey, until: time('When another one took its place.') },
          { ...closed, description: 'An identity key that it had.' },
        ),
        { maxItems: 512, description: 'Identity keys that it had, oldest first: receipts are signed with them.' },
      ),
    ),
    epoch_confirmed: nullable(
      Type.Integer({ minimum: 0 }),
      'Last epoch that the node has on disk; null after an operator ended its quarantine: any is believed, once.',
    ),
    epoch_offered: nullable(
      Type.Integer({ minimum: 1 }),
      'Epoch that was offered and not confirmed yet; null if none.',
    ),
    task_kid: text(64, 'Task key that the node is known to believe.'),
    bearer_hash: nullable(secretHash('sha256 of the bearer.'), 'Bearer of the present epoch; null before the first.'),
    drain: Type.Boolean({ description: 'True if nothing new may be launched there.' }),
    enrolled_at: time('When it enrolled.'),
    last_seen_at: nullable(time('When.'), 'When it was last heard of; null before the first session. Not exact.'),
    agent_version: text(64, 'Version of its agent, as last heard.'),
    boot_id: nullable(text(64, 'Boot.'), 'Boot of the host, as last heard; null before the first session.'),
    task_types: Type.Array(
      Type.Object(
        { type: text(128, 'Task type.'), version: Type.Integer({ minimum: 1, description: 'Version.' }) },
        closed,
      ),
      { maxItems: 128, description: 'What its agent can carry out.' },
    ),
    inventory: nullable(InventoryBody, 'What the host last said that it is and has; null before that.'),
    runtime: nullable(
      WorkloadOciRuntimeStatusOutput,
      'What it last said of its container runtimes, in an answer or with its inventory; null before that.',
    ),
    runtime_at: nullable(
      time('When.'),
      'When it last answered for a launch, by the clock of the control plane; null before that.',
    ),
    clock_offset_seconds: Type.Optional(
      Type.Integer({
        description: 'How far its clock is ahead of ours, as of its last inventory; absent before that.',
      }),
    ),
    channel: Type.Optional(
      Type.String({
        pattern: releaseChannelPattern,
        description: 'Which rollouts reach it; `stable` where it is absent.',
      }),
    ),
    canary: Type.Optional(
      Type.Boolean({ description: 'True if rollouts of its channel begin with it; absent for false.' }),
    ),
    update: Type.Optional(NodeUpdate),
    topology: nullable(TopologyBody, 'What it last said that runs there; null before that.'),
  },
  { ...closed, description: 'A host that enrolled.' },
);
export type Node = Static<typeof Node>;

/** What a node can be for a launch; worked out of the rest, never kept. */
export const readinessStates = ['ready', 'not_ready', 'unknown'] as const;

export const RecordCursor = Type.Object(
  {
    id: id('The node.'),
    journal_id: id('Journal of the node that is being read.'),
    seq: Type.Integer({ minimum: 0, description: 'All its records up to this one are kept.' }),
    updated_at: time('When it last moved.'),
  },
  { ...closed, description: 'How far the records of a node are kept.' },
);
export type RecordCursor = Static<typeof RecordCursor>;

/**
 * Rollouts: one release, for the nodes of one channel.
 *
 *   canaries ─▶ waiting ─▶ rest ─▶ stragglers ─▶ (completed)
 *
 *   running ⇄ paused: by a person, or because a host did not keep the release
 *      └────────┴──▶ cancelled
 *
 * With `stragglers`, whoever could be reached runs the release; those that come later get it as they come.
 */
import { type Static, Type } from 'typebox';
import { Failure } from '../../../contract/failures.ts';
import { Release } from '../../../contract/release.ts';
import { closed, id, nullable, text, time } from './fields.ts';

export const rolloutStates = ['running', 'paused', 'completed', 'cancelled'] as const;
export const rolloutStages = ['canaries', 'waiting', 'rest', 'stragglers'] as const;

const seconds = (maximum: number, description: string) => Type.Integer({ minimum: 0, maximum, description });

export const Rollout = Type.Object(
  {
    id: id('The rollout.'),
    version: Release.properties.version,
    channel: Type.String({ ...Release.properties.channel, description: 'Nodes of this channel get it.' }),
    state: Type.Enum([...rolloutStates], {
      description: 'paused: nobody else begins. completed: all nodes have it, or never will.',
    }),
    reason: nullable(text(500, 'Why.'), 'Why it is paused or cancelled; null otherwise.'),
    stage: Type.Enum([...rolloutStages], {
      description: 'canaries, waiting for what becomes of them, rest, and stragglers: those that were away.',
    }),
    stage_since: time('Since when it is in that stage.'),
    wait_seconds: seconds(604_800, 'How long the canaries run it before the rest begins.'),
    parallel: Type.Integer({ minimum: 1, maximum: 1000, description: 'Most nodes that update at a time.' }),
    jitter_seconds: seconds(86_400, 'The rest begins spread over so long.'),
    urgent: Type.Boolean({ description: 'True: also outside of the windows of hosts.' }),
    created_at: time('When it was started.'),
    created_by: id('API token that started it.'),
    ended_at: nullable(time('When.'), 'When it was completed or cancelled; null until then.'),
  },
  { ...closed, description: 'A release on its way to nodes.' },
);
export type Rollout = Static<typeof Rollout>;

/**
 *   pending ─▶ updating ─▶ committed | rolled_back | failed | gone
 *      ▲──────────┤ (never began)
 *      └── held ◀─┘ (its operator keeps it from that: told, and not waited for)
 */
export const rolloutNodeStates = [
  'pending',
  'updating',
  'committed',
  'held',
  'rolled_back',
  'failed',
  'gone',
  'cancelled',
] as const;

export const RolloutNode = Type.Object(
  {
    id: id('The place of the node in the rollout.'),
    rollout_id: id('The rollout.'),
    node_id: id('The node.'),
    canary: Type.Boolean({ description: 'True if the rollout begins with it.' }),
    state: Type.Enum([...rolloutNodeStates], {
      description: 'held: its operator keeps it from that release, or for now. gone: it is no node any more.',
    }),
    since: time('Since when.'),
    not_before: nullable(time('When.'), 'It does not begin before this; null for at once.'),
    task_id: nullable(id('The task.'), 'The last task that was to update it; null before the first.'),
    failure: nullable(Failure, 'Why it does not run the release; null where it does, or may yet.'),
  },
  { ...closed, description: 'A node that a rollout is to reach.' },
);
export type RolloutNode = Static<typeof RolloutNode>;

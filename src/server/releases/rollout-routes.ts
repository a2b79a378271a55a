/** `/api/v1/rollouts`: brings a release to the nodes of a channel, canaries first. */
import { type Static, Type } from 'typebox';
import { AgentError } from '../../contract/failures.ts';
import { identifierPattern } from '../../contract/identifiers.ts';
import { ReleaseVersion } from '../../contract/release.ts';
import { trustRelease } from '../../policy/release-trust.ts';
import { closed } from '../db/entities/fields.ts';
import type { Node } from '../db/entities/node.ts';
import { Rollout, RolloutNode, rolloutNodeStates, rolloutStates } from '../db/entities/rollout.ts';
import type { Cause } from '../db/events.ts';
import { newId } from '../db/new-id.ts';
import type { ReadTx, Tx } from '../db/store.ts';
import { found, platform } from '../http/access.ts';
import { listOf, listQuery, page, pageOptions, pathOf } from '../http/lists.ts';
import { type Route, route } from '../http/route.ts';
import { papersOf, publishedRelease, type ReleaseParts } from './release-routes.ts';
import { cancel, newRolloutNode, nodesOf, nodesOfChannel, pause, resume, tell } from './rollouts.ts';

const count = Type.Integer({ minimum: 0, description: 'Nodes.' });
const Counts = Type.Object(Object.fromEntries(rolloutNodeStates.map((state) => [state, count])), {
  ...closed,
  description: 'How many nodes are in which state.',
});

export const RolloutView = Type.Object(
  { ...Rollout.properties, counts: Counts },
  { ...closed, description: 'A release on its way to the nodes of a channel.' },
);
export type RolloutView = Static<typeof RolloutView>;

const NodeInRollout = Type.Object(
  {
    ...RolloutNode.properties,
    name: Type.String({ description: 'Name of the host.' }),
    agent_version: Type.String({ description: 'What it says that it runs.' }),
    connected: Type.Boolean({ description: 'True while it has a session; one that has none gets it when it comes.' }),
    phase: Type.Union([Type.String(), Type.Null()], { description: 'How far its update is; null before it began.' }),
  },
  { ...closed, description: 'A node that the rollout is to reach.' },
);

const Described = Type.Object(
  {
    ...RolloutView.properties,
    nodes: Type.Array(NodeInRollout, { description: 'Its nodes, canaries first.' }),
  },
  { ...closed, description: 'A rollout with its nodes.' },
);
export type DescribedRollout = Static<typeof Described>;

const NewRollout = Type.Object(
  {
    version: ReleaseVersion,
    channel: Type.Optional({ ...Rollout.properties.channel, description: 'Default: that of the release.' }),
    canaries: Type.Optional(
      Type.Object(
        {
          nodes: Type.Optional(
            Type.Array(Type.String({ pattern: identifierPattern, description: 'A node of the channel.' }), {
              ...{ maxItems: 100, uniqueItems: true },
              description: 'These begin; none for an empty list: then the release goes to all at once.',
            }),
          ),
          percent: Type.Optional(
            Type.Integer({ minimum: 1, maximum: 100, description: 'So many of a hundred begin, at least one.' }),
          ),
        },
        {
          ...closed,
          description: 'Who begins. Absent: the nodes that are marked as canaries, or else 5 of a hundred.',
        },
      ),
    ),
    wait_seconds: Type.Optional(Rollout.properties.wait_seconds),
    parallel: Type.Optional(Rollout.properties.parallel),
    jitter_seconds: Type.Optional(Rollout.properties.jitter_seconds),
    urgent: Type.Optional(Rollout.properties.urgent),
  },
  { ...closed, description: 'A rollout to start. An hour between canaries and rest, 5 at a time, within 10 minutes.' },
);
type NewRollout = Static<typeof NewRollout>;

const usual = { wait_seconds: 3600, parallel: 5, jitter_seconds: 600, urgent: false } as const;
const usualPercent = 5;

const Why = Type.Object(
  { reason: Type.Optional(Type.String({ minLength: 1, maxLength: 500, description: 'Why, for others.' })) },
  { ...closed, description: 'Why.' },
);

const path = '/api/v1/rollouts';
const one = { params: pathOf('rollout_id', 'The rollout.'), answer: RolloutView, allow: platform } as const;

const ListQuery = listQuery({
  channel: Type.Optional(Rollout.properties.channel),
  state: Type.Optional(Type.Enum([...rolloutStates], { description: 'Only those in this state.' })),
});

export function rolloutRoutes(parts: ReleaseParts): Route[] {
  const { queue } = parts;
  return [
    route({
      ...{ method: 'GET', path, tag: 'releases', summary: 'Lists rollouts.', allow: platform },
      query: ListQuery,
      answer: listOf(RolloutView),
      read: async ({ query }, tx) => {
        const { limit: _limit, after: _after, ...where } = query;
        const rollouts = await tx.rollouts.list({ where, ...pageOptions(query) });
        const counts = new Map<string, RolloutView['counts']>();
        for (const { id } of rollouts) counts.set(id, countsOf(await nodesOf(tx, id)));
        return page(rollouts, query, (rollout) => ({ ...rollout, counts: counts.get(rollout.id) ?? countsOf([]) }));
      },
    }),
    route({
      ...{ method: 'GET', path: `${path}/{rollout_id}`, tag: 'releases', summary: 'Shows a rollout and its nodes.' },
      ...{ allow: platform, params: one.params, answer: Described },
      read: async ({ params: { rollout_id: id } }, tx) => {
        const rollout = await rolloutNamed(tx, id);
        return { ...(await viewOf(tx, rollout)), nodes: await nodesShown(tx, rollout, parts) };
      },
    }),
    route({
      ...{ method: 'POST', path, tag: 'releases', allow: platform, status: 201 },
      summary: 'Starts to bring a release to the nodes of a channel.',
      ...{ body: NewRollout, answer: RolloutView },
      change: async (asked, tx) => ({ body: await viewOf(tx, await start(tx, parts, asked)) }),
    }),
    route({
      ...{ method: 'POST', path: `${path}/{rollout_id}/pause`, tag: 'releases', ...one, body: Why },
      summary: 'Lets no other node begin; those that are at it go on.',
      change: async (asked, tx) => {
        const rollout = await rolloutNamed(tx, asked.params.rollout_id);
        if (rollout.state !== 'running') throw conflict(`The rollout is ${rollout.state}.`);
        const reason = asked.body.reason ?? 'An operator decided so.';
        return { body: await viewOf(tx, await pause(tx, queue, asked, rollout, reason)) };
      },
    }),
    route({
      ...{ method: 'POST', path: `${path}/{rollout_id}/resume`, tag: 'releases', ...one },
      summary: 'Lets a paused rollout go on; nodes that failed for a reason that may be over are asked again.',
      change: async (asked, tx) => {
        const rollout = await rolloutNamed(tx, asked.params.rollout_id);
        await publishedRelease(tx, rollout.version);
        return { body: await viewOf(tx, await resume(tx, asked, rollout)) };
      },
    }),
    route({
      ...{ method: 'POST', path: `${path}/{rollout_id}/cancel`, tag: 'releases', ...one, body: Why },
      summary: 'Ends a rollout; who has the release keeps it.',
      change: async (asked, tx) => {
        const rollout = await rolloutNamed(tx, asked.params.rollout_id);
        if (rollout.ended_at !== null) throw conflict(`The rollout is ${rollout.state}.`);
        const reason = asked.body.reason ?? 'An operator decided so.';
        return { body: await viewOf(tx, await cancel(tx, queue, asked, rollout, reason)) };
      },
    }),
  ];
}

type Starting = Cause & { readonly body: NewRollout; readonly who: { readonly tokenId: string } };

async function start(tx: Tx, parts: ReleaseParts, asked: Starting): Promise<Rollout> {
  const { body, now } = asked;
  const { version, canaries } = body;
  const release = await publishedRelease(tx, version);
  // The root may be another one by now.
  trustRelease(papersOf(release.papers), parts.keys.releaseRoot);
  if (Date.parse(release.expires) <= now) throw new AgentError('update.expired', { expires: release.expires });
  const missing = parts.files.missing(version, release.artifacts);
  if (missing.length > 0) {
    throw conflict(`These files of ${version} are not here yet: ${missing.join(', ')}: gpuaas releases publish DIR.`);
  }
  const channel = body.channel ?? release.channel;
  await supersede(tx, parts, asked, channel);
  const nodes = await nodesOfChannel(tx, channel);
  const chosen = canariesOf(nodes, canaries);
  const time = new Date(now).toISOString();
  const rollout: Rollout = {
    ...{ id: newId(now), version, channel, state: 'running', reason: null, stage: 'canaries', stage_since: time },
    wait_seconds: body.wait_seconds ?? usual.wait_seconds,
    parallel: body.parallel ?? usual.parallel,
    jitter_seconds: body.jitter_seconds ?? usual.jitter_seconds,
    urgent: body.urgent ?? usual.urgent,
    ...{ created_at: time, created_by: asked.who.tokenId, ended_at: null },
  };
  await tx.rollouts.insert(rollout);
  for (const { id } of nodes) await tx.rollout_nodes.insert(newRolloutNode(rollout.id, id, chosen.has(id), now));
  const who = chosen.size === 0 ? 'without canaries' : `beginning with ${chosen.size}`;
  await tell(tx, asked, rollout, 'started', `${version} goes to ${nodes.length} nodes of ${channel}, ${who}.`);
  return rollout;
}

/** One rollout of a channel at a time; one that only waits for stragglers makes room: they get the newer one. */
async function supersede(tx: Tx, { queue }: ReleaseParts, cause: Cause, channel: string): Promise<void> {
  for (const other of await tx.rollouts.list({ where: { channel, state: ['running', 'paused'] } })) {
    if (other.stage !== 'stragglers') {
      const way = `Cancel it first: gpuaas rollouts cancel ${other.id}.`;
      throw conflict(`The rollout of ${other.version} to ${channel} is ${other.state}. ${way}`);
    }
    await cancel(tx, queue, cause, other, 'A newer rollout takes its place.');
  }
}

function canariesOf(nodes: readonly Node[], wanted: NewRollout['canaries']): ReadonlySet<string> {
  if (wanted?.nodes && wanted.percent !== undefined) {
    throw invalid('/canaries', 'are nodes or a percentage, not both');
  }
  if (wanted?.nodes) {
    const known = new Set(nodes.map(({ id }) => id));
    const unknown = wanted.nodes.filter((id) => !known.has(id));
    if (unknown.length > 0) throw invalid('/canaries/nodes', `are no nodes of the channel: ${unknown.join(', ')}`);
    return new Set(wanted.nodes);
  }
  const marked = nodes.filter(({ canary }) => canary);
  if (wanted?.percent === undefined && marked.length > 0) return new Set(marked.map(({ id }) => id));
  const share = Math.ceil((nodes.length * (wanted?.percent ?? usualPercent)) / 100);
  // Those that were heard of last, so that none is waited for that is away for good.
  const lively = nodes.toSorted((a, b) => (b.last_seen_at ?? '').localeCompare(a.last_seen_at ?? ''));
  return new Set(lively.slice(0, share).map(({ id }) => id));
}

async function nodesShown(tx: ReadTx, { id }: Rollout, { isConnected }: Pick<ReleaseParts, 'isConnected'>) {
  const nodes: DescribedRollout['nodes'] = [];
  for (const at of await nodesOf(tx, id)) {
    const node = await tx.nodes.get(at.node_id);
    const phase = node?.update?.task_id === at.task_id ? (node?.update?.phase ?? null) : null;
    const { name = at.node_id, agent_version = '' } = node ?? {};
    nodes.push({ ...at, name, agent_version, connected: isConnected(at.node_id), phase });
  }
  return nodes.toSorted((a, b) => Number(b.canary) - Number(a.canary));
}

async function viewOf(tx: ReadTx, rollout: Rollout): Promise<RolloutView> {
  return { ...rollout, counts: countsOf(await nodesOf(tx, rollout.id)) };
}

function countsOf(nodes: readonly Pick<RolloutNode, 'state'>[]): RolloutView['counts'] {
  return Object.fromEntries(
    rolloutNodeStates.map((state) => [state, nodes.filter((each) => each.state === state).length]),
  );
}

async function rolloutNamed(tx: ReadTx, id: string): Promise<Rollout> {
  return found('rollout', id, await tx.rollouts.get(id));
}

function conflict(reason: string): AgentError {
  return new AgentError('resource.conflict', { reason });
}

function invalid(at: string, message: string): AgentError {
  return new AgentError('request.invalid', { errors: [{ path: at, code: 'invalid', message }] });
}

/**
 * `/api/v1/nodes`: hosts as the control plane knows them. Members see the nodes of their own allocations, without what is
 * other people's business.
 */
import { type Static, Type } from 'typebox';
import type { AgentCollectDiagnosticsParams } from '../../contract/agent-collect-diagnostics.ts';
import { AgentError } from '../../contract/failures.ts';
import { identifierPattern } from '../../contract/identifiers.ts';
import { closed, nullable } from '../db/entities/fields.ts';
import { Node, NodeUpdate, readinessStates } from '../db/entities/node.ts';
import { appendEvent, type Cause } from '../db/events.ts';
import type { ReadTx, Tx } from '../db/store.ts';
import { everybody, found, maySee, platform } from '../http/access.ts';
import { listOf, listQuery, page, pageOptions, pathOf } from '../http/lists.ts';
import { type Route, route, type Who } from '../http/route.ts';
import { usualChannel, wantedVersions } from '../releases/current-release.ts';
import { diagnosticsRoutes } from './node-diagnostics.ts';
import { nodeKeyRoutes } from './node-keys.ts';
import { Drift, driftOf, Readiness, readinessOf } from './node-readiness.ts';

const {
  bearer_hash: _bearer,
  next_keys: _next,
  former_keys: _former,
  wrapping_key: _wrapping,
  identity_key: _identity,
  epoch_offered: _offered,
  ...shown
} = Node.properties;

export const NodeView = Type.Object(
  {
    ...shown,
    connected: Type.Boolean({ description: 'True while it has a session.' }),
    readiness: Readiness,
    probed_at: nullable(
      Type.String({ description: 'When.' }),
      'When its container runtimes were last looked at, by the clock of the host; null before that.',
    ),
    channel: Type.String({ description: 'Which rollouts reach it.' }),
    canary: Type.Boolean({ description: 'True if rollouts of its channel begin with it.' }),
    update: nullable(NodeUpdate, 'The last update of its agent that was asked for; null before that.'),
    behind: nullable(
      Type.String({ description: 'Version.' }),
      'Version that it is to run by the last rollout of its channel; null where it does, or runs a newer one.',
    ),
    drift: Type.Array(Drift, { description: 'Where its host is not as its bootstrap left it; empty if nowhere.' }),
  },
  { ...closed, description: 'A host.' },
);
export type NodeView = Static<typeof NodeView>;

const NodeQuery = listQuery({
  status: Type.Optional(Node.properties.status),
  allocation_id: Type.Optional(Type.String({ pattern: identifierPattern, description: 'Only of this allocation.' })),
  readiness: Type.Optional(Type.Enum([...readinessStates], { description: 'Only those of this readiness.' })),
});

const Drain = Type.Object(
  { drain: Type.Boolean({ description: 'True: nothing new is launched there. False: it is again.' }) },
  { ...closed, description: 'Whether the node takes new work.' },
);

/** What these routes need of the hub. */
export interface NodeControl {
  isConnected(nodeId: string): boolean;
  /** Shuts a node out: it must not come back, and its tasks end. */
  revoke(tx: Tx, nodeId: string, actor: string): Promise<unknown>;
  /** Ends a quarantine; false if the node is in none. */
  release(tx: Tx, nodeId: string, actor: string): Promise<boolean>;
  /** Has a node collect its diagnostics; returns the task. */
  diagnose(tx: Tx, cause: Cause, node: Node, wish: AgentCollectDiagnosticsParams): Promise<string>;
  /** Has a node replace its keys; returns the task. */
  rotateKeys(tx: Tx, cause: Cause, node: Node): Promise<string>;
  /** Tells a node whether it shall take new work. */
  drain(tx: Tx, cause: Cause, node: Node): Promise<void>;
}

const one = { params: pathOf('node_id', 'The node.'), answer: NodeView } as const;
const path = '/api/v1/nodes/{node_id}';

/** How nodes are shown; `view` is good for one moment of the store. */
export async function nodeView(tx: ReadTx, isConnected: NodeControl['isConnected']): Promise<(node: Node) => NodeView> {
  const wanted = await wantedVersions(tx);
  const numbers = new Map((await tx.releases.list()).map(({ version, seq }) => [version, seq]));
  return (node) => {
    const release = wanted.get(node.channel ?? usualChannel);
    const isBehind = release && (numbers.get(node.agent_version) ?? 0) < release.seq;
    return viewOf(node, isConnected(node.id), isBehind ? release.version : null);
  };
}

export function nodeRoutes(control: NodeControl): Route[] {
  const viewed = async (tx: ReadTx, node: Node) => (await nodeView(tx, control.isConnected))(node);
  const isOf = (node: Node, state: string) => readinessOf(node, control.isConnected(node.id)).state === state;
  return [
    route({
      ...{ method: 'GET', path: '/api/v1/nodes', tag: 'nodes', summary: 'Lists nodes.' },
      ...{ allow: everybody, query: NodeQuery, answer: listOf(NodeView) },
      read: async ({ who, query }, tx) => {
        const { limit: _limit, after: _after, readiness, ...asked } = query;
        const own = who.projectId === null ? {} : { allocation_id: await allocationsOf(tx, who.projectId, query) };
        const where = { ...asked, ...own };
        const { limit, ...order } = pageOptions(query);
        // What a node is ready for is not a field that the store could ask for.
        const nodes = await tx.nodes.list({ where, ...order, ...(readiness === undefined ? { limit } : {}) });
        const wanted = readiness === undefined ? nodes : nodes.filter((node) => isOf(node, readiness));
        return page(wanted.slice(0, limit), query, await nodeView(tx, control.isConnected));
      },
    }),
    route({
      ...{ method: 'GET', path, tag: 'nodes', summary: 'Shows a node.', ...one, allow: everybody },
      read: async ({ who, params: { node_id: id } }, tx) => viewed(tx, await visibleNode(tx, who, id)),
    }),
    route({
      ...{ method: 'POST', path: `${path}/drain`, tag: 'nodes', ...one, allow: platform, body: Drain },
      summary: 'Keeps new work away from a node, or lets it come again; what runs is left alone.',
      change: async (asked, tx) => {
        const { node_id: id } = asked.params;
        const before = found('node', id, await tx.nodes.get(id));
        const after: Node = { ...before, drain: asked.body.drain };
        if (before.drain !== after.drain) {
          await tx.nodes.put(after);
          await tell(tx, asked, after, after.drain ? 'node.draining' : 'node.undrained', 'An operator decided so.');
          await control.drain(tx, asked, after);
        }
        return { body: await viewed(tx, after) };
      },
    }),
    ...diagnosticsRoutes(control),
    ...nodeKeyRoutes(control, visibleNode),
    route({
      ...{ method: 'POST', path: `${path}/revoke`, tag: 'nodes', ...one, allow: platform },
      summary: 'Shuts a node out for good. Its workloads run on until somebody stops them on the host.',
      change: async ({ who, params: { node_id: id } }, tx) => {
        found('node', id, await tx.nodes.get(id));
        await control.revoke(tx, id, who.actor);
        return { body: await viewed(tx, found('node', id, await tx.nodes.get(id))) };
      },
    }),
    route({
      ...{ method: 'POST', path: `${path}/release`, tag: 'nodes', ...one, allow: platform },
      summary: 'Ends the quarantine of a node, after somebody made sure that only one host has its identity.',
      change: async ({ who, params: { node_id: id } }, tx) => {
        const node = found('node', id, await tx.nodes.get(id));
        if (!(await control.release(tx, id, who.actor))) {
          throw new AgentError('resource.conflict', { reason: `The node is ${node.status}.` });
        }
        return { body: await viewed(tx, found('node', id, await tx.nodes.get(id))) };
      },
    }),
  ];
}

function viewOf(node: Node, connected: boolean, behind: string | null): NodeView {
  const {
    bearer_hash: _b,
    next_keys: _n,
    former_keys: _f,
    wrapping_key: _w,
    identity_key: _i,
    epoch_offered: _o,
    ...rest
  } = node;
  const probed_at = node.runtime?.probed_at ?? null;
  const { channel = usualChannel, canary = false, update, agent_version } = node;
  // Somebody on the host may have gone back since: what it says of itself is the truth.
  const isOver = update?.state === 'committed' && update.version !== agent_version;
  const standing = { channel, canary, update: update && !isOver ? update : null, behind };
  return { ...rest, ...standing, connected, readiness: readinessOf(node, connected), probed_at, drift: driftOf(node) };
}

async function visibleNode(tx: ReadTx, who: Who, id: string): Promise<Node> {
  const node = await tx.nodes.get(id);
  const allocation = node && (await tx.allocations.get(node.allocation_id));
  return found('node', id, allocation && maySee(who, allocation.project_id) ? node : undefined);
}

/** The allocations of a project, or the one of them that was asked for. */
async function allocationsOf(
  tx: ReadTx,
  projectId: string,
  { allocation_id: wanted }: { allocation_id?: string },
): Promise<string[]> {
  const own = await tx.allocations.list({ where: { project_id: projectId } });
  return own.map(({ id }) => id).filter((id) => wanted === undefined || id === wanted);
}

async function tell(tx: Tx, asked: Cause, { id }: Node, type: string, message: string): Promise<void> {
  await appendEvent(tx, asked, { type, project_id: null, subject: { kind: 'node', id }, message });
}

/** A hub on a real socket with a store of its own, one enrolled node, and agents that end with their test. */
import { setTimeout as sleep } from 'node:timers/promises';
import { systemClock } from '../../src/kit/clock.ts';
import { createLog } from '../../src/kit/log.ts';
import type { Node } from '../../src/server/db/entities/node.ts';
import { openSqliteStore } from '../../src/server/db/sqlite/sqlite-store.ts';
import type { Store } from '../../src/server/db/store.ts';
import { bootstrapRoutes } from '../../src/server/enrolment/bootstrap-routes.ts';
import { enrolmentRoutes } from '../../src/server/enrolment/enrolment-routes.ts';
import { createHttpServer, type HttpOptions } from '../../src/server/http/http-server.ts';
import { createMetrics } from '../../src/server/http/metrics.ts';
import { Hub, type HubOptions } from '../../src/server/hub/hub.ts';
import { releaseNode, revokeNode } from '../../src/server/hub/node-status.ts';
import { type NewTask, TaskQueue } from '../../src/server/hub/task-queue.ts';
import { openServerKeys, type ServerKeys } from '../../src/server/keys/server-keys.ts';
import type { TaskKeys } from '../../src/server/keys/task-keys.ts';
import { registryRoutes } from '../../src/server/registry/registry-routes.ts';
import { nodeControl } from '../../src/server/resources/node-control.ts';
import { type RecordingSink, recordingSink } from './recording-sink.ts';
import { type AgentKeys, makeAgentKeys, ScriptedAgent } from './scripted-agent.ts';
import { unlimited } from './unlimited.ts';

export type HubSettings = Pick<
  HubOptions,
  'clock' | 'heartbeatSeconds' | 'leaseSeconds' | 'awaySeconds' | 'logWindowBytes' | 'reportBudget'
> & {
  readonly sink?: RecordingSink;
  readonly patience?: HttpOptions['patience'];
  readonly port?: number;
  /** Origin that nodes dial where something stands in between. */
  readonly audience?: string;
  /** Registry hosts whose token service this is. */
  readonly tokenRegistries?: readonly string[];
  readonly upstream?: Record<string, { username: string; password: string }>;
};

export interface HubGround {
  readonly store: Store;
  readonly queue: TaskQueue;
  readonly keys: TaskKeys;
  readonly serverKeys: ServerKeys;
  readonly sink: RecordingSink;
  readonly hub: Hub;
  readonly origin: string;
  /** Puts a node into the store, as enrolment does. */
  addNode(id: string, keys?: AgentKeys, given?: Partial<Node>): Promise<AgentKeys>;
  node(id: string): Promise<Node>;
  dial(options?: ConstructorParameters<typeof ScriptedAgent>[1]): ScriptedAgent;
  enqueue(given?: Partial<typeof removal>): ReturnType<TaskQueue['enqueue']>;
  /** What operators do. */
  revoke(nodeId: string): Promise<boolean>;
  release(nodeId: string): Promise<boolean>;
  /** Stops the hub as a shutdown does; the store stays. */
  stopHub(): Promise<void>;
  close(): Promise<void>;
}

export const removal: NewTask<'workload.oci_remove'> = {
  ...{
    node_id: 'node-1',
    allocation_id: 'alloc-1',
    workload_id: 'app-1',
    purpose: 'decommission',
    trace_id: 'trace-1',
  },
  type: 'workload.oci_remove',
  params: {
    identity: {
      ...{ project_id: 'p1', app_instance_id: 'app-1', allocation_id: 'alloc-1', app_slug: 'jupyterlab' },
      ...{ app_version: '1', display_name: 'one' },
    },
    keep_data: true,
    grace_seconds: 5,
  },
};

/** Keeps everything in `folder`; a second ground there goes on where the first has stopped. */
export async function openHubGround(folder: string, settings: HubSettings = {}): Promise<HubGround> {
  const { sink = recordingSink(), port = 0, tokenRegistries = [], upstream = {} } = settings;
  const { clock = systemClock } = settings;
  const store = openSqliteStore(`${folder}/store.db`);
  const serverKeys = await openServerKeys(folder);
  const keys = serverKeys.task;
  const queue = new TaskQueue(sink, settings.clock);
  const log = createLog({ level: 'silent' });
  let origin = '';
  const audience = () => settings.audience ?? origin;
  const http = createHttpServer({
    ...{ store, log, metrics: createMetrics(), hostNames: [], checkAnswers: true },
    ...{ now: () => clock.wallMs(), limits: unlimited(), ...(settings.patience && { patience: settings.patience }) },
    routes: [
      ...enrolmentRoutes({
        ...{ store, keys: serverKeys, audience, ca: '' },
        revoke: (tx, id, actor) => nodeControl(hub, queue).revoke(tx, id, actor),
      }),
      ...bootstrapRoutes({ store, keys: serverKeys, ca: '', registries: ['registry.example.com'] }),
      ...registryRoutes({ key: serverKeys.registry, tokenRegistries, upstream }),
    ],
  });
  const hub = new Hub({ ...settings, ...{ store, queue, keys, sink, log, audience } });
  await hub.start(http.server, (socket) => http.door.letIn(socket));
  const address = await http.listen('127.0.0.1', port);
  origin = `http://127.0.0.1:${address.port}`;
  const agents: ScriptedAgent[] = [];

  const stopHub = async () => {
    hub.stop();
    await http.close();
  };
  return {
    ...{ store, queue, keys, serverKeys, sink, hub, origin, stopHub },
    addNode: async (id, agentKeys = makeAgentKeys(), given = {}) => {
      const node: Node = { ...newNode(id, agentKeys, keys.current.kid), ...given };
      await store.write((tx) => tx.nodes.insert(node));
      return agentKeys;
    },
    node: async (id) => (await store.read((tx) => tx.nodes.get(id))) as Node,
    dial: (options) => {
      const agent = new ScriptedAgent(origin, options);
      agents.push(agent);
      return agent;
    },
    enqueue: (given = {}) => store.write((tx) => queue.enqueue(tx, { ...removal, ...given })),
    revoke: (nodeId) =>
      store.write(async (tx) => {
        tx.afterCommit(() => hub.shutOut(nodeId));
        return await revokeNode(tx, queue, nodeId, 'token:t1');
      }),
    release: (nodeId) => store.write((tx) => releaseNode(tx, queue, nodeId, 'token:t1')),
    close: async () => {
      for (const { socket } of agents) socket.terminate();
      await stopHub();
      await store.close();
    },
  };
}

/** Waits until something is so. The runner's own limit ends a wait that is in vain. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await sleep(5);
}

function newNode(id: string, { identity_key, wrapping_key }: AgentKeys, task_kid: string): Node {
  return {
    ...{ id, name: 'host', allocation_id: 'alloc-1', status: 'enrolled', status_reason: null },
    ...{ identity_key, wrapping_key, next_keys: null, epoch_confirmed: 0, epoch_offered: null, task_kid },
    ...{ bearer_hash: null, drain: false, enrolled_at: '2026-11-25T10:00:00.000Z', last_seen_at: null },
    ...{ agent_version: '1.0.0', boot_id: null, task_types: [], inventory: null, runtime: null, runtime_at: null },
    topology: null,
  };
}

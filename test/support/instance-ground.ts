/**
 * The page of an instance, without an engine: a real control plane in this process, with its console, and a node that says
 * what a test makes it say. Its log has whatever a test writes into it.
 */
import type { Page } from 'playwright-core';
import { buildConsole } from '../../bootstrap/dev/build-console.ts';
import { creditOf } from '../../src/contract/log-credit.ts';
import { maxChunkEntries, type StreamedEntry } from '../../src/contract/session-messages.ts';
import { taskTypes } from '../../src/contract/tasks.ts';
import type { ServerSettings } from '../../src/server/context.ts';
import type { AppInstance } from '../../src/server/db/entities/app-instance.ts';
import type { NewEvent } from '../../src/server/db/entities/event.ts';
import { change } from '../../src/server/instances/instance-states.ts';
import { signIn } from './console-ground.ts';
import { type CuttingProxy, startCuttingProxy } from './cutting-proxy.ts';
import { atFileEnd } from './file-end.ts';
import { allocationId, aNode, anApp, anArtifact, aVersion, vllmArtifact } from './launch-samples.ts';
import { vllmProfile } from './profiles.ts';
import { type AgentKeys, makeAgentKeys, ScriptedAgent } from './scripted-agent.ts';
import { anAllocation, anInstance } from './store-samples.ts';
import { type TestServer, testServer } from './test-server.ts';

export interface InstanceGround {
  readonly server: TestServer;
  /** Of the page, through the proxy. */
  readonly url: string;
  /** Between the page and the control plane. */
  readonly proxy: CuttingProxy;
  /** Puts an instance into the store, beside whatever a test needs of it, and gives its id. */
  add(given?: Partial<AppInstance>): Promise<string>;
  /** Something happens to the instance. */
  happens(id: string, event: Partial<NewEvent>): Promise<void>;
  becomes(id: string, to: AppInstance['state'], set?: Partial<AppInstance>): Promise<void>;
  readonly log: NodeLog;
  /** Signs in and goes to the page of the instance. */
  open(page: Page, id: string, tab?: string, as?: string): Promise<void>;
}

export async function openInstanceGround(settings: Partial<ServerSettings> = {}): Promise<InstanceGround> {
  const server = await testServer(settings, { console: buildConsole });
  const keys = makeAgentKeys();
  await seed(server, keys);
  const log = await NodeLog.open(server.url, keys);
  const proxy = await startCuttingProxy(Number(new URL(server.url).port));
  atFileEnd(() => proxy.close());
  const url = `http://127.0.0.1:${proxy.port}`;
  let count = 0;
  return {
    ...{ server, url, proxy, log },
    add: async (given = {}) => {
      count += 1;
      const id = `instance-${count}`;
      const instance = anInstance({ ...anInstanceOfJupyter(count), id, ...given });
      await server.store.write(async (tx) => {
        await tx.app_instances.insert(instance);
      });
      return id;
    },
    happens: (id, event) => server.store.write((tx) => tx.events.append(eventOf(id, event))).then(() => undefined),
    becomes: (id, to, set = {}) =>
      server.store.write(async (tx) => {
        const instance = await tx.app_instances.get(id);
        if (!instance) throw new Error(`no instance ${id}`);
        const at = Math.max(Date.parse(instance.state_since) + 1000, server.context.clock.wallMs());
        await change(tx, instance, { to, reason: `The workload is ${to}.`, actor: 'node:node-1', at, set });
      }),
    open: async (page, id, tab, as = 'member') => {
      await signIn(page, server.tokens[as] ?? '');
      await page.goto(`${url}/#/instances/${id}${tab === undefined ? '' : `/${tab}`}`);
      await page.getByRole('tablist').waitFor();
    },
  };
}

function eventOf(id: string, event: Partial<NewEvent>): NewEvent {
  return {
    ...{ time: '2026-11-25T10:00:00.000Z', type: 'apps.instance.progress', project_id: 'p1', actor: 'node:node-1' },
    ...{ subject: { kind: 'app_instance', id }, correlation_id: 'trace-1', message: 'Something happened.', data: {} },
    ...event,
  };
}

async function seed({ store, context }: TestServer, { identity_key, wrapping_key }: AgentKeys): Promise<void> {
  const task_kid = context.keys.task.current.kid;
  await store.write(async (tx) => {
    await tx.nodes.insert(aNode({ identity_key, wrapping_key, epoch_confirmed: 0, name: 'gpu-1', task_kid }));
    const shape = { gpu_count: 8, cpu_cores: 256, memory_gib: 512 };
    const ssh = { host: 'gpu-1.example.com', port: 22, user: 'tenant' };
    await tx.allocations.insert(
      anAllocation({ node_id: 'node-1', ssh, name: 'lab one', project_storage: true, shape }),
    );
    await tx.apps.insert(anApp());
    await tx.apps.insert(anApp({ id: 'vllm-openai', display_name: 'vLLM' }));
    await tx.app_versions.insert(aVersion());
    await tx.app_versions.insert(
      aVersion({ id: 'version-2', app_slug: 'vllm-openai', version: '2026.11', manifest: vllmProfile() }),
    );
    await tx.artifacts.insert(anArtifact());
    await tx.artifacts.insert(vllmArtifact());
  });
}

function anInstanceOfJupyter(number: number): Partial<AppInstance> {
  const port = 8880 + number;
  const endpoint: AppInstance['endpoints'][number] = {
    ...{ name: 'web', protocol: 'http', host: '127.0.0.1', port, url: `http://127.0.0.1:${port}/` },
    exposure_mode: 'private',
  };
  return {
    ...{ node_id: 'node-1', allocation_id: allocationId, artifact_id: 'artifact-cpu', host_ports: { web: port } },
    ...{ display_name: 'My notebook', endpoints: [endpoint], members: [memberOf('main', endpoint)] },
    config: { workspace_mount: 'scratch', exposure_mode: 'private', host_port: port, python_packages: 'numpy pandas' },
  };
}

type Member = AppInstance['members'][number];

export function memberOf(
  name: string,
  endpoint?: AppInstance['endpoints'][number],
  given: Partial<Member> = {},
): Member {
  return {
    ...{ name, node_id: 'node-1', state: 'running', health: null, endpoints: endpoint ? [endpoint] : [], restarts: 0 },
    ...{ status: null, reported_at: '2026-11-25T10:00:00.000Z' },
    ...given,
  };
}

/** The log of everything on the node: all who read it read the same. A cursor is the number of the next entry. */
export class NodeLog {
  #entries: StreamedEntry[] = [];
  #isOver = false;
  readonly #agent: ScriptedAgent;
  readonly #readers = new Map<string, { next: number; credit: number; readonly follow: boolean }>();

  constructor(agent: ScriptedAgent) {
    this.#agent = agent;
  }

  static async open(url: string, keys: AgentKeys): Promise<NodeLog> {
    const agent = new ScriptedAgent(url);
    atFileEnd(() => agent.socket.terminate());
    await agent.hello(keys, 'node-1', 0, { task_types: taskTypes.map((type) => ({ type, version: 1 })) });
    const { epoch } = await agent.next('welcome');
    agent.send({ type: 'confirm', epoch });
    const log = new NodeLog(agent);
    agent.socket.on('message', () => log.#heard());
    return log;
  }

  /** Begins anew, for readers to come. */
  clear(): void {
    this.#entries = [];
    this.#isOver = false;
  }

  write(lines: readonly string[], given: Partial<StreamedEntry> = {}): void {
    for (const text of lines) {
      const at = new Date(Date.parse('2026-11-25T10:00:00Z') + this.#entries.length).toISOString();
      this.#entries.push({ time: at, channel: 'stdout', text, encoding: 'utf8', partial: false, ...given });
    }
    for (const stream of this.#readers.keys()) this.#serve(stream);
  }

  /** The container runs again, and writes on into the same log. */
  begin(): void {
    this.#isOver = false;
  }

  /** The container ends. */
  end(): void {
    this.#isOver = true;
    for (const stream of [...this.#readers.keys()]) this.#serve(stream);
  }

  #heard(): void {
    for (const message of this.#agent.received.splice(0)) {
      if (message.type === 'logs_open') {
        const { stream, cursor, tail, bytes, follow } = message;
        const from = cursor === null ? this.#entries.length - (tail ?? this.#entries.length) : Number(cursor);
        this.#readers.set(stream, { next: Math.max(0, from), credit: bytes, follow });
        this.#serve(stream);
      } else if (message.type === 'logs_credit') {
        const reader = this.#readers.get(message.stream);
        if (reader) reader.credit += message.bytes;
        this.#serve(message.stream);
      } else if (message.type === 'logs_close') {
        this.#readers.delete(message.stream);
      } else if (message.type === 'heartbeat') {
        this.#agent.send({ type: 'heartbeat' });
      }
    }
  }

  #serve(stream: string): void {
    const reader = this.#readers.get(stream);
    if (!reader) return;
    while (reader.next < this.#entries.length) {
      const block: StreamedEntry[] = [];
      for (const entry of this.#entries.slice(reader.next, reader.next + maxChunkEntries)) {
        if (reader.credit < creditOf(entry)) break;
        reader.credit -= creditOf(entry);
        block.push(entry);
      }
      if (block.length === 0) return;
      reader.next += block.length;
      this.#agent.send({ type: 'logs_chunk', stream, cursor: String(reader.next), block });
    }
    if (this.#isOver || !reader.follow) {
      this.#readers.delete(stream);
      this.#agent.send({ type: 'logs_end', stream, failure: null });
    }
  }
}

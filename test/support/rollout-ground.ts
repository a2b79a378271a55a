/** A channel of nodes that a test connects, and whose updates end as it says; real store, real queue, time in its hands. */
import { join } from 'node:path';
import type { UpdatePhase } from '../../src/contract/agent-self-update.ts';
import { AgentError, type FailureCode } from '../../src/contract/failures.ts';
import type { TaskResult } from '../../src/contract/task-envelope.ts';
import type { Node } from '../../src/server/db/entities/node.ts';
import type { Rollout, RolloutNode } from '../../src/server/db/entities/rollout.ts';
import type { Task } from '../../src/server/db/entities/task.ts';
import { openSqliteStore } from '../../src/server/db/sqlite/sqlite-store.ts';
import type { Store } from '../../src/server/db/store.ts';
import { revokeNode } from '../../src/server/hub/node-status.ts';
import type { RecordSink } from '../../src/server/hub/record-sink.ts';
import { TaskQueue } from '../../src/server/hub/task-queue.ts';
import { followingUpdates } from '../../src/server/releases/keep-rolling.ts';
import { advance, cancel, newRolloutNode, pause, resume } from '../../src/server/releases/rollouts.ts';
import { aNode } from './launch-samples.ts';
import { type ManualClock, manualClock } from './manual-clock.ts';
import { recordingSink } from './recording-sink.ts';
import { aRollout } from './store-samples.ts';

export const from = '1.0.0';
export const version = '1.1.0';

export class RolloutGround {
  readonly clock: ManualClock = manualClock();
  readonly connected = new Set<string>();
  readonly #file: string;
  #store: Store;
  #sink: RecordSink;
  #queue: TaskQueue;

  constructor(folder: string) {
    this.#file = join(folder, 'store.db');
    this.#store = openSqliteStore(this.#file);
    this.#sink = followingUpdates(recordingSink(), () => this.#queue, this.clock);
    this.#queue = new TaskQueue(this.#sink, this.clock);
  }

  get store(): Store {
    return this.#store;
  }

  /** As a control plane that was killed: nothing is left but the store. */
  async restart(): Promise<void> {
    await this.#store.close();
    this.#store = openSqliteStore(this.#file);
    this.connected.clear();
    this.#sink = followingUpdates(recordingSink(), () => this.#queue, this.clock);
    this.#queue = new TaskQueue(this.#sink, this.clock);
  }

  /** Nodes `n0`, `n1`, …, all connected, of which the first ones are canaries. */
  async begin(nodes: number, canaries: number, given: Partial<Rollout> = {}): Promise<void> {
    const at = new Date(this.now).toISOString();
    const rollout = aRollout({ version, stage_since: at, created_at: at, ...given });
    await this.#store.write(async (tx) => {
      await tx.rollouts.insert(rollout);
      for (let index = 0; index < nodes; index += 1) {
        const id = `n${index}`;
        await tx.nodes.insert(aNode({ id, name: `host-${index}`, agent_version: from }));
        await tx.rollout_nodes.insert(newRolloutNode('r1', id, index < canaries, this.now));
        this.connected.add(id);
      }
    });
  }

  get now(): number {
    return this.clock.wallMs();
  }

  /** Looks at the rollout, after so many seconds. */
  async tick(seconds = 0, settled = true): Promise<void> {
    await this.clock.advance(seconds * 1000);
    const parts = { queue: this.#queue, isConnected: (id: string) => this.connected.has(id) };
    const step = { now: this.now, settled, random: () => 0.5 };
    await this.#store.write((tx) => advance(tx, parts, 'r1', step));
  }

  async rollout(): Promise<Rollout> {
    return (await this.#store.read((tx) => tx.rollouts.get('r1'))) as Rollout;
  }

  async nodes(): Promise<RolloutNode[]> {
    const nodes = await this.#store.read((tx) => tx.rollout_nodes.list({ where: { rollout_id: 'r1' } }));
    return nodes.toSorted((a, b) => Number(a.node_id.slice(1)) - Number(b.node_id.slice(1)));
  }

  async node(id: string): Promise<Node> {
    return (await this.#store.read((tx) => tx.nodes.get(id))) as Node;
  }

  /** `committed updating pending`, in the order of the nodes. */
  async states(): Promise<string> {
    return (await this.nodes()).map(({ state }) => state).join(' ');
  }

  /** Updates that no result has come for. */
  async open(): Promise<Task[]> {
    return await this.#store.read((tx) => tx.tasks.list({ where: { state: ['queued', 'leased', 'accepted'] } }));
  }

  /** Types of events about the rollout, in order. */
  async told(subject_id = 'r1'): Promise<string[]> {
    const events = await this.#store.read((tx) => tx.events.list({ after: 0, limit: 1000, subject_id }));
    return events.map(({ type }) => type);
  }

  /** The node has the task on disk. */
  async accept(nodeId: string): Promise<void> {
    await this.#store.write(async (tx) => {
      for (const task of await tx.tasks.list({ where: { node_id: nodeId, state: ['queued', 'leased'] } })) {
        await tx.tasks.put({ ...task, state: 'accepted', lease: null });
      }
    });
  }

  /** The node tells a phase of its update. */
  async phase(nodeId: string, phase: UpdatePhase, values: Record<string, unknown> = {}): Promise<void> {
    const node = await this.node(nodeId);
    const event = { time: '', type: `update.${phase}`, phase: null, message: `It is ${phase}.`, values };
    const body = { workload_id: nodeId, task_id: node.update?.task_id ?? '', event };
    await this.#store.write((tx) => this.#sink.recorded(tx, node, { kind: 'task.progress', body, at: '' }));
  }

  /** Its update ends; with `committed` it comes back as the new version. */
  async ends(nodeId: string, how: 'committed' | FailureCode): Promise<void> {
    await this.accept(nodeId);
    const [task] = (await this.open()).filter(({ node_id }) => node_id === nodeId);
    if (!task) throw new Error(`${nodeId} has nothing to do`);
    const time = new Date(this.now).toISOString();
    const isDone = how === 'committed';
    const result: TaskResult = {
      ...{ task_id: task.id, started_at: time, finished_at: time, status: isDone ? 'succeeded' : 'failed' },
      output: isDone ? { version, from, outcome: 'committed' } : null,
      failure: isDone ? null : new AgentError(how).toFailure(),
    };
    if (isDone) await this.says(nodeId, version);
    await this.#store.write((tx) => this.#queue.finish(tx, task, result));
  }

  /** What the node says that it runs. */
  async says(nodeId: string, agent_version: string): Promise<void> {
    await this.#store.write(async (tx) => {
      const node = await tx.nodes.get(nodeId);
      if (node) await tx.nodes.put({ ...node, agent_version });
    });
  }

  async expire(): Promise<void> {
    await this.#store.write((tx) => this.#queue.expire(tx));
  }

  async revoke(nodeId: string): Promise<void> {
    this.connected.delete(nodeId);
    await this.#store.write((tx) => revokeNode(tx, this.#queue, nodeId, 'token:t1'));
  }

  async pause(): Promise<void> {
    const rollout = await this.rollout();
    await this.#store.write((tx) => pause(tx, this.#queue, this.#cause, rollout, 'An operator decided so.'));
  }

  async resume(): Promise<void> {
    const rollout = await this.rollout();
    await this.#store.write((tx) => resume(tx, this.#cause, rollout));
  }

  async cancel(): Promise<void> {
    const rollout = await this.rollout();
    await this.#store.write((tx) => cancel(tx, this.#queue, this.#cause, rollout, 'An operator decided so.'));
  }

  get #cause() {
    return { now: this.now, correlationId: 'c1', who: { actor: 'token:t1' } };
  }
}

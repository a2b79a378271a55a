/**
 * Makes instances what their nodes report. The hub calls it inside the transaction that keeps each report, once per
 * report, so a repetition changes nothing and a lost one is sent again.
 *
 *   result of the instance's present task ─▶ decides its state (task-results.ts)
 *   anything else about it                ─▶ members and events; its state too, unless a task is at work
 *   the node is away                      ─▶ unknown, which is not failed: workloads outlive their connection
 *
 * A report can be old when it arrives, so what follows from it has the time of which it tells (happened-at.ts).
 */
import { AgentError } from '../../contract/failures.ts';
import { livingStates } from '../../contract/instance-state.ts';
import type { RecordBody } from '../../contract/records.ts';
import type { WorkloadState } from '../../contract/workload-state.ts';
import type { AppInstance } from '../db/entities/app-instance.ts';
import type { Node } from '../db/entities/node.ts';
import type { Task } from '../db/entities/task.ts';
import type { Tx } from '../db/store.ts';
import type { EndedTask, NodeRecord, RecordSink } from '../hub/record-sink.ts';
import { endIfEmpty } from '../resources/release-allocation.ts';
import { decommission } from './actions.ts';
import { happenedAt, iso, ReportTimes } from './happened-at.ts';
import { appendReport, factsOf, membersSeen, shortMessage } from './instance-reports.ts';
import { type Change, change, laterOf } from './instance-states.ts';
import { fail } from './launching.ts';
import type { MetricsBoard } from './metrics-board.ts';
import { afterReport } from './reported-state.ts';
import { TaskResults, type TaskResultsOptions } from './task-results.ts';

export interface ReconcilerOptions extends TaskResultsOptions {
  readonly metrics: MetricsBoard;
}

export function reconciler(options: ReconcilerOptions): RecordSink {
  return new Reconciler(options);
}

class Reconciler implements RecordSink {
  readonly #options: ReconcilerOptions;
  readonly #times: ReportTimes;
  readonly #results: TaskResults;

  constructor(options: ReconcilerOptions) {
    this.#options = options;
    this.#times = new ReportTimes(options.clock);
    this.#results = new TaskResults(options);
  }

  taskEnded(tx: Tx, task: EndedTask): Promise<void> {
    return this.#results.taskEnded(tx, task);
  }

  async recorded(tx: Tx, node: Node, record: NodeRecord): Promise<void> {
    switch (record.kind) {
      case 'task.progress':
        return this.#progressed(tx, node, record);
      case 'event':
        return this.#happened(tx, node, record);
      case 'topology':
        return this.#looked(tx, node, record);
      case 'metrics':
        return this.#sampled(tx, node, record.body);
      case 'inventory':
        return undefined;
    }
  }

  /** What waits for an answer of the node ends: nobody knows whether there will be one. */
  async nodeAway(tx: Tx, node: Node): Promise<void> {
    for (const instance of await this.#instancesOf(tx, node)) {
      if (instance.state === 'failed' || instance.state === 'unknown') continue;
      if (instance.state === 'requested') {
        const reason = 'Its host went away before it said what it can run.';
        await fail(tx, instance, new AgentError('launch.node_unavailable', { reason }), this.#times.now());
        continue;
      }
      const reason = 'Its host has not been heard of; what runs there runs on.';
      await this.#change(tx, instance, node, { to: 'unknown', reason, at: this.#times.now() });
    }
  }

  /**
   * Tasks go on where they were, what could not be taken away is tried again, and of the rest the host says what it is. A task
   * was at work all the while, and may have ended long ago: its state is the one of before, as far as anybody knows.
   */
  async nodeBack(tx: Tx, node: Node): Promise<void> {
    for (const instance of await this.#instancesOf(tx, node)) {
      if (instance.state === 'failed' && instance.desired === 'decommissioned') {
        const cause = { now: this.#times.now(), correlationId: instance.trace_id, who: { actor: 'system' } };
        await decommission(tx, this.#options.queue(), cause, instance, await keepsData(tx, instance));
      }
      const task = await this.#taskAtWork(tx, instance);
      const state = task && whileAtWork[task.purpose];
      if (state && instance.state === 'unknown') {
        const since = Date.parse(instance.state_since);
        const reason = 'Its host is back and goes on.';
        await this.#change(tx, instance, node, { to: state, reason, at: this.#times.now(), since });
      }
    }
    const cause = { now: this.#times.now(), correlationId: node.id, who: { actor: 'system' } };
    await endIfEmpty(tx, this.#options.queue(), cause, node.allocation_id);
  }

  async #progressed(tx: Tx, node: Node, { body, at }: NodeRecord & { kind: 'task.progress' }): Promise<void> {
    const { workload_id, task_id, event } = body;
    const instance = await this.#instanceOf(tx, node, workload_id);
    if (!instance || instance.state === 'decommissioned') return;
    const time = this.#times.of(instance, at);
    await appendReport(tx, instance, `node:${node.id}`, time, {
      type: event.type === 'phase.entered' ? 'apps.instance.phase' : 'apps.instance.progress',
      message: event.message,
      data: factsOf(event.values, { type: event.type, phase: event.phase, time: event.time, task_id }),
    });
    if (event.type === 'phase.entered' && (await this.#taskAtWork(tx, instance))) {
      const updated_at = laterOf(instance.updated_at, time);
      await tx.app_instances.put({ ...instance, summary: event.message.slice(0, 500), updated_at });
    }
  }

  async #happened(tx: Tx, node: Node, { body, at }: NodeRecord & { kind: 'event' }): Promise<void> {
    const { workload_id, source, event, state, failure } = body;
    if (workload_id === null) {
      const time = iso(happenedAt(at, node.enrolled_at, this.#times.now()));
      await tx.events.append({
        ...{ time, type: 'node.reported', project_id: null, actor: `node:${node.id}` },
        ...{ subject: { kind: 'node', id: node.id }, correlation_id: null },
        message: shortMessage(event.message),
        data: factsOf(event.values, { source, type: event.type, time: event.time }),
      });
      return;
    }
    const instance = await this.#instanceOf(tx, node, workload_id);
    if (!instance || instance.state === 'decommissioned') return;
    await appendReport(tx, instance, `node:${node.id}`, this.#times.of(instance, at), {
      type: 'apps.instance.reported',
      message: event.message,
      data: factsOf(event.values, { source, type: event.type, time: event.time, failure: failure?.code ?? null }),
    });
    const to = state === null ? undefined : await this.#afterReport(tx, instance, state);
    const what = { reason: event.message, at: this.#times.at(instance, at), set: { failure } };
    if (to) await this.#change(tx, instance, node, { to, ...what });
  }

  /** Of what is not there nobody asks for samples, and a node could name as much of it as it likes. */
  async #sampled(tx: Tx, node: Node, body: RecordBody<'metrics'>): Promise<void> {
    const known = new Set((await this.#instancesOf(tx, node)).map(({ id }) => id));
    const workloads = body.workloads.filter(({ workload_id }) => known.has(workload_id));
    this.#options.metrics.keep(node.id, { ...body, workloads }, this.#times.now());
  }

  /** What is on the host, whole: what should be there and is not is drift. */
  async #looked(tx: Tx, node: Node, { body, at }: NodeRecord & { kind: 'topology' }): Promise<void> {
    const facts = new Map(body.workloads.map((workload) => [workload.workload_id, workload]));
    const reported_at = iso(this.#times.now());
    for (const instance of await this.#instancesOf(tx, node)) {
      const fact = facts.get(instance.id);
      const to = await this.#afterReport(tx, instance, fact?.state ?? 'absent');
      const members =
        fact && instance.members.length > 0 ? membersSeen(instance.members, fact, reported_at) : undefined;
      if (to) {
        const lost = fact
          ? null
          : new AgentError('container.not_found', { reason: 'Its host has no trace of it.' }).toFailure();
        const reason = lost?.message ?? `Its host reports it as ${fact?.state}.`;
        const cleared = to === 'running' ? null : instance.failure;
        const set = { ...(members ? { members } : {}), failure: lost ?? cleared };
        await this.#change(tx, instance, node, { to, reason, at: this.#times.at(instance, at), set });
      } else if (members) {
        await tx.app_instances.put({ ...instance, members });
      }
    }
  }

  async #taskAtWork(tx: Tx, { current_task_id: id }: AppInstance): Promise<Task | undefined> {
    const task = id === null ? undefined : await tx.tasks.get(id);
    return task?.state === 'ended' ? undefined : task;
  }

  /**
   * While a task is at work its result decides, also where the node was away meanwhile. What could not be taken away has
   * failed until it is gone, however well it runs.
   */
  async #afterReport(tx: Tx, instance: AppInstance, reported: WorkloadState) {
    if (instance.desired === 'decommissioned') return undefined;
    return (await this.#taskAtWork(tx, instance)) ? undefined : afterReport(instance.state, reported);
  }

  async #change(tx: Tx, instance: AppInstance, node: Node, what: Omit<Change, 'actor'>) {
    await change(tx, instance, { ...what, actor: `node:${node.id}` });
  }

  async #instanceOf(tx: Tx, { id }: Node, instanceId: string): Promise<AppInstance | undefined> {
    const instance = await tx.app_instances.get(instanceId);
    return instance?.node_id === id ? instance : undefined;
  }

  async #instancesOf(tx: Tx, { id }: Node): Promise<AppInstance[]> {
    return tx.app_instances.list({ where: { node_id: id, state: livingStates } });
  }
}

/** What was asked for by whoever wanted it gone; kept where nobody remembers. */
async function keepsData(tx: Tx, { current_task_id: id }: AppInstance): Promise<boolean> {
  const task = id === null ? undefined : await tx.tasks.get(id);
  return task?.purpose !== 'decommission' || (task.params as { readonly keep_data?: boolean }).keep_data !== false;
}

const whileAtWork: Readonly<Partial<Record<Task['purpose'], AppInstance['state']>>> = {
  launch: 'deploying',
  stop: 'stopping',
  start: 'starting',
  restart: 'restarting',
  decommission: 'decommissioning',
};

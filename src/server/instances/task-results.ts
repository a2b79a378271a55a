/**
 * What the result of a task makes of its instance: that of the present task decides its state, that of one that was given up
 * is only told. Called inside the transaction that ends the task.
 */
import { AgentError } from '../../contract/failures.ts';
import type { WorkloadOciRuntimeStatusOutput } from '../../contract/workload-oci-runtime-status.ts';
import type { StackOutput, WorkloadOutput } from '../../contract/workload-output.ts';
import type { Clock } from '../../kit/clock.ts';
import { adapterOf } from '../adapters/index.ts';
import type { AppInstance } from '../db/entities/app-instance.ts';
import type { Tx } from '../db/store.ts';
import type { EndedTask } from '../hub/record-sink.ts';
import type { TaskQueue } from '../hub/task-queue.ts';
import type { LaunchEnvironment } from '../launch/environment.ts';
import { judgeRuntime } from '../launch/preflight.ts';
import { wipeEnded } from '../resources/release-allocation.ts';
import { finish } from './actions.ts';
import { askAgain } from './ask-again.ts';
import { iso, ReportTimes } from './happened-at.ts';
import { appendReport, declaredEndpoints, factsOf, membersOf, stateOfAll } from './instance-reports.ts';
import { change } from './instance-states.ts';
import { fail, goOn } from './launching.ts';
import { packagesEvent } from './packages-event.ts';
import { afterTask } from './reported-state.ts';

export interface TaskResultsOptions {
  readonly environment: LaunchEnvironment;
  readonly clock: Clock;
  /** The queue that calls the sink of these results; asked for when it is needed, since each needs the other. */
  readonly queue: () => TaskQueue;
}

/** What every task of an instance answers. */
type Output = WorkloadOutput | StackOutput;

/** Endpoints that nobody asked for, of one report, that are told one by one. */
const maxUndeclared = 10;

export class TaskResults {
  readonly #options: TaskResultsOptions;
  readonly #times: ReportTimes;

  constructor(options: TaskResultsOptions) {
    this.#options = options;
    this.#times = new ReportTimes(options.clock);
  }

  async taskEnded(tx: Tx, task: EndedTask): Promise<void> {
    if (task.purpose === 'preflight') {
      await this.#answered(tx, task);
      return;
    }
    if (task.purpose === 'wipe') {
      const who = { actor: `node:${task.node_id}` };
      const cause = { now: this.#times.now(), correlationId: task.trace_id, who };
      await wipeEnded(tx, this.#options.queue(), cause, task);
      return;
    }
    const instance = task.instance_id === null ? undefined : await tx.app_instances.get(task.instance_id);
    if (!instance) return;
    const time = this.#times.of(instance, task.result.finished_at);
    // Of a task that was given up for another only the end is told: the other one decides.
    if (instance.current_task_id !== task.id || instance.state === 'decommissioned') {
      await appendReport(tx, instance, `node:${task.node_id}`, time, {
        type: 'apps.instance.superseded',
        message: `The ${task.purpose} that was given up ended as ${task.result.status}.`,
        data: { task_id: task.id, status: task.result.status },
      });
      return;
    }
    if (await askAgain(tx, this.#options.queue(), instance, task, time)) return;
    if (task.purpose === 'decommission') await this.#removed(tx, instance, task);
    else await this.#done(tx, instance, task);
  }

  /** The node has said what it can run; every launch that waited for that goes on or ends. */
  async #answered(tx: Tx, { id, node_id, result }: EndedTask): Promise<void> {
    const waiting = await tx.app_instances.list({ where: { node_id, state: 'requested' } });
    for (const instance of waiting.filter(({ current_task_id }) => current_task_id === id)) {
      if (result.status === 'succeeded') {
        const answer = judgeRuntime(result.output as WorkloadOciRuntimeStatusOutput, adapterOf(instance.engine));
        await goOn(tx, this.#launching(), instance, answer, this.#times.now());
      } else {
        const reason = `Its host did not answer: ${result.failure?.message ?? result.status}`;
        await fail(tx, instance, new AgentError('launch.node_unavailable', { reason }), this.#times.now());
      }
    }
  }

  /** Launch, stop, start and restart. */
  async #done(tx: Tx, instance: AppInstance, task: EndedTask): Promise<void> {
    const { result, purpose, node_id } = task;
    const at = this.#times.at(instance, result.finished_at);
    const output = result.output as Output | null;
    const endpoints = output ? await this.#endpoints(tx, instance, task, output) : instance.endpoints;
    const members = output
      ? membersOf({ ...instance, endpoints }, node_id, output, iso(this.#times.now()))
      : instance.members;
    const cleanup = output?.cleanup ?? instance.cleanup;
    const actor = `node:${node_id}`;
    const packages = packagesEvent(result);
    if (packages) await appendReport(tx, instance, actor, iso(at), packages);
    if (result.status === 'succeeded' && output) {
      await change(tx, instance, {
        ...{ to: afterTask(instance.state, output.state), reason: output.summary, actor, at },
        set: { members, endpoints, cleanup, failure: output.failure },
      });
      return;
    }
    const failure =
      result.failure ?? new AgentError('internal', { reason: `The task ended as ${result.status}.` }).toFailure();
    // A launch that failed has left nothing; what an action failed on may still run as before, if it is there.
    const isGone = purpose === 'launch' || failure.code === 'container.not_found';
    const before = isGone ? undefined : (output?.state ?? stateOfAll(instance.members));
    await change(tx, instance, {
      to: before === undefined ? 'failed' : afterTask(instance.state, before),
      ...{ reason: failure.message, actor, at },
      set: { members, endpoints: purpose === 'launch' ? [] : endpoints, cleanup, failure },
    });
  }

  async #removed(tx: Tx, instance: AppInstance, { result, node_id, trace_id }: EndedTask): Promise<void> {
    const output = result.output as Output | null;
    const cleanup = output?.cleanup ?? null;
    const actor = `node:${node_id}`;
    const at = this.#times.at(instance, result.finished_at);
    if (result.status === 'succeeded' && (cleanup?.failed.length ?? 0) === 0) {
      await finish(tx, this.#options.queue(), { now: at, correlationId: trace_id, who: { actor } }, instance, cleanup);
      return;
    }
    const left = cleanup?.failed.join('; ') ?? result.status;
    const failure =
      result.failure ?? output?.failure ?? new AgentError('internal', { reason: `Left: ${left}` }).toFailure();
    await change(tx, instance, {
      ...{ to: 'failed', reason: failure.message, actor, at },
      set: { failure, cleanup },
    });
  }

  /** Only what the profile declares and the launch published is an endpoint. */
  async #endpoints(tx: Tx, instance: AppInstance, { node_id, result }: EndedTask, { endpoints }: Output) {
    const { declared, undeclared } = declaredEndpoints(instance, endpoints);
    for (const { name, port } of undeclared.slice(0, maxUndeclared)) {
      await appendReport(tx, instance, `node:${node_id}`, this.#times.of(instance, result.finished_at), {
        type: 'apps.instance.undeclared_endpoint',
        message: `The host reported an endpoint that was not asked for. It is not shown.`,
        data: factsOf({ name }, { port }),
      });
    }
    return declared;
  }

  #launching() {
    return { queue: this.#options.queue(), environment: this.#options.environment };
  }
}

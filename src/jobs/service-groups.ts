/**
 * Services that the jobs of one revision share on this host: one group for each allocation, project and revision, and for what the
 * services are made of. A job that would have begun other ones has others.
 *
 *   first job ─▶ begun, or found on the engine ─▶ ready ◀─ later jobs
 *                                                   │ the last one has left, for a while
 *                                                   ▼
 *                              stopped ─▶ containers, volumes and network taken away
 *
 * One that no job has, nor is about to have, gives way before its time to whoever needs the room that it holds.
 *
 * What is on the engine is all that is remembered of a group: an agent that was killed finds it there when one of its jobs goes
 * on. Which jobs have a place in its network is in their records, so one that goes on has it before any that is new. Each group
 * begins, ends and changes its jobs under a lock of its own, so there are never two of one.
 */
import { AgentError } from '../contract/failures.ts';
import { type JobPlan, maxTogether } from '../contract/job-plan.ts';
import { jobHasEnded, stepHasEnded } from '../contract/job-state.ts';
import { containerName, labels } from '../contract/names.ts';
import type { Cleanup } from '../contract/workload-output.ts';
import { KeyedMutex } from '../kit/mutex.ts';
import { toItsEnd } from '../kit/to-its-end.ts';
import { unlessAborted } from '../kit/unless-aborted.ts';
import { groupOfPlan, type ServiceGroup, sharedServices } from '../policy/service-group.ts';
import { isServiceGroup } from '../policy/service-group-id.ts';
import type { ContainerEngine, ContainerFacts } from '../runtime/engine.ts';
import type { JobGround } from './job-ground.ts';
import { freshStep, type JobRecords, type KeptJob, type StepRecord } from './job-record.ts';
import { memoryRecords } from './memory-records.ts';
import { Services } from './run-beside.ts';
import { RunningJob } from './running-job.ts';
import type { RunningJobs } from './running-jobs.ts';
import { takeAway, takeContainers } from './take-away.ts';

const usualIdleSeconds = 600;

interface Group {
  readonly job: RunningJob;
  readonly services: Services;
  readonly failed: AbortController;
  readonly ready: Promise<void>;
  readonly users: Set<RunningJob>;
  /** Milliseconds since 1970. */
  idleSince: number;
}

/** The part of one job in its group; nothing at all for a job that shares no services. */
export interface SharedUse {
  /** Aborts, with why, when the services that it has joined fail. */
  readonly failed: AbortSignal;
  /** Resolves when all of them are ready. */
  join(signal: AbortSignal): Promise<void>;
  leave(): Promise<void>;
}

export interface IdleWish {
  readonly engine: ContainerEngine;
  /** Of the policy of the host; 600 if absent. */
  readonly idleSeconds?: number | undefined;
  /** A group that stays. */
  readonly except?: string | undefined;
}

export class ServiceGroups {
  readonly #running: RunningJobs;
  readonly #records: Pick<JobRecords, 'all'>;
  readonly #groups = new Map<string, Group>();
  readonly #turns = new KeyedMutex();
  /** When what is on the engine of a group that no job here has joined was first seen. */
  readonly #strays = new Map<string, number>();
  #mayHaveStrays = true;
  /** Those that are being ended, or could not be: what they hold is not free yet. */
  readonly #ending = new Set<string>();

  constructor(running: RunningJobs, records: Pick<JobRecords, 'all'>) {
    this.#running = running;
    this.#records = records;
  }

  useOf(job: RunningJob): SharedUse {
    const { group } = job;
    const failed = new AbortController();
    const left = new AbortController();
    if (!group) return { failed: failed.signal, join: async () => undefined, leave: async () => undefined };
    return {
      failed: failed.signal,
      join: async (signal) => {
        // Nothing of it is to run any more.
        if (job.plan.steps.every(({ id }) => stepHasEnded(job.step(id).state))) return;
        const joined = await this.#turns.run(group.id, async () => await this.#join(job, group, signal), signal);
        const fail = () => failed.abort(joined.failed.signal.reason);
        joined.failed.signal.addEventListener('abort', fail, { once: true, signal: left.signal });
        if (joined.failed.signal.aborted) fail();
        await unlessAborted(joined.ready, signal);
        job.emit('services.shared', `The job shares the services of ${group.id}.`, { group: group.id });
      },
      leave: async () => {
        left.abort();
        await this.#turns.run(group.id, async () => this.#leave(job, group));
      },
    };
  }

  /**
   * Keeps room for a job and for the services that it shares, each in its own name: all jobs of a group keep the latter together.
   * Groups that nobody uses go before a job finds no room.
   */
  async reserve(plan: JobPlan, { admission, signal, engine }: JobGround): Promise<() => void> {
    const { identity, resources } = plan;
    const group = groupOfPlan(plan);
    const its = group ? sharedServices(plan).map((service) => service.resources) : [];
    const shared = {
      cpu_cores: its.reduce((sum, { cpu_cores }) => sum + cpu_cores, 0),
      memory_gib: its.reduce((sum, { memory_gib }) => sum + memory_gib, 0),
    };
    const own = {
      cpu_cores: Math.max(0, resources.cpu_cores - shared.cpu_cores),
      memory_gib: Math.max(0, resources.memory_gib - shared.memory_gib),
    };
    const reserve = async () => {
      const release = await admission.reserve(identity.job_id, own, signal, engine);
      if (!group) return release;
      try {
        const releaseShared = await admission.reserve(group.id, shared, signal, engine);
        return () => {
          release();
          releaseShared();
        };
      } catch (error) {
        release();
        throw error;
      }
    };
    try {
      return await reserve();
    } catch (error) {
      if (!(error instanceof AgentError && error.code === 'resources.exceeded')) throw error;
      // What cannot be ended is no matter of this job: it has the room that there is.
      await this.endIdle({ engine, idleSeconds: 0, except: group?.id }).catch(unlessLetGo);
      return await reserve();
    }
  }

  /**
   * Ends those that no job has used for so long, and what an earlier life of the agent has left of some. One that cannot be ended
   * keeps none of the others; it is told when they are.
   */
  async endIdle({ engine, idleSeconds = usualIdleSeconds, except }: IdleWish): Promise<void> {
    const strays = this.#mayHaveStrays ? await this.#findStrays(engine) : [];
    const troubles: unknown[] = [];
    for (const id of new Set([...this.#groups.keys(), ...strays])) {
      if (id === except) continue;
      try {
        await this.#turns.run(id, async () => await this.#endIfIdle(id, engine, idleSeconds));
      } catch (error) {
        unlessLetGo(error);
        troubles.push(error);
      }
    }
    if (troubles.length > 0) throw troubles[0];
  }

  /** Ends this one now, unless a job has it. */
  async endUnused(id: string, engine: ContainerEngine): Promise<void> {
    await this.#turns.run(id, async () => await this.#endIfIdle(id, engine, 0));
  }

  /**
   * Milliseconds since 1970 at which the last job left it, 0 where nobody remembers. Undefined while a job has it or is about to, where it is
   * being ended or could not be, and for what is no group.
   */
  idleSince(id: string): number | undefined {
    if (!isServiceGroup(id) || this.#ending.has(id) || this.#isWanted(id)) return undefined;
    return this.#groups.get(id)?.idleSince ?? this.#strays.get(id) ?? 0;
  }

  /** Ends this one for whoever needs what it holds. A job that comes meanwhile waits, and begins it anew. */
  async giveWay(id: string, engine: ContainerEngine): Promise<'ended' | 'gone' | 'in_use'> {
    return await this.#turns.run(id, async () => {
      this.#running.assertHeld();
      if (this.#isWanted(id)) return 'in_use';
      return (await this.#end(id, engine)) ? 'ended' : 'gone';
    });
  }

  /** By a job that has begun and not ended, whether it has joined yet or not. */
  #isWanted(id: string): boolean {
    const wants = ({ plan, record }: KeptJob) => !jobHasEnded(record.state) && groupOfPlan(plan)?.id === id;
    return (this.#groups.get(id)?.users.size ?? 0) > 0 || this.#records.all().some(wants);
  }

  async #findStrays(engine: ContainerEngine): Promise<string[]> {
    const signal = toItsEnd();
    const there = await Promise.all([engine.list(signal), engine.networks(signal), engine.volumes(signal)]);
    const instances = there.flat().map(({ labels: of }) => of[labels.instance] ?? '');
    const strays = instances.filter((id) => isServiceGroup(id) && !this.#groups.has(id));
    this.#mayHaveStrays = strays.length > 0;
    return strays;
  }

  async #endIfIdle(id: string, engine: ContainerEngine, idleSeconds: number): Promise<void> {
    this.#running.assertHeld();
    const group = this.#groups.get(id);
    if (this.#placesOf(id).length > 0) return;
    const since = group?.idleSince ?? this.#strays.get(id) ?? Date.now();
    if (!group) this.#strays.set(id, since);
    if (Date.now() - since >= idleSeconds * 1000) await this.#end(id, engine);
  }

  /** Jobs with a place in its network, also those that this process has yet to take up. */
  #placesOf(id: string): KeptJob[] {
    const isIn = ({ plan, record }: KeptJob) =>
      record.has_place === true && !jobHasEnded(record.state) && groupOfPlan(plan)?.id === id;
    return this.#records.all().filter(isIn);
  }

  /** On the disk before anything of the job is in the network. */
  #takePlace(job: RunningJob, id: string): void {
    if (job.record.has_place) return;
    const its = this.#placesOf(id);
    const taken = its.reduce((sum, { plan }) => sum + addressesOf(plan), sharedServices(job.plan).length);
    if (taken + addressesOf(job.plan) > maxTogether) {
      const reason = `${its.length} jobs share the services of ${id}, and their network has no room for more.`;
      throw new AgentError('resources.exceeded', { reason });
    }
    job.update({ has_place: true });
  }

  async #join(job: RunningJob, { id }: ServiceGroup, signal: AbortSignal): Promise<Group> {
    signal.throwIfAborted();
    this.#takePlace(job, id);
    const known = this.#groups.get(id);
    // Those that use it are told, and leave by themselves; whoever comes now has new ones. So has the first after those whose service
    // has done its work and is there no more.
    const isOver =
      known?.users.size === 0 && known.job.plan.services.some((each) => stepHasEnded(known.job.step(each.id).state));
    if (known && (isOver || known.failed.signal.aborted)) {
      await known.services.stop('served');
      this.#groups.delete(id);
      this.#mayHaveStrays = true;
      assertGone(await takeContainers(id, job.ground.engine, toItsEnd()));
    }
    const group = this.#groups.get(id) ?? (await this.#begin(job, id));
    // One that could not be ended before is in use again.
    this.#ending.delete(id);
    group.users.add(job);
    job.shared = group.job;
    return group;
  }

  #leave(job: RunningJob, { id }: ServiceGroup): void {
    if (job.record.has_place) job.update({ has_place: false });
    const group = this.#groups.get(id);
    if (group?.users.delete(job) && group.users.size === 0) group.idleSince = Date.now();
  }

  async #begin(first: RunningJob, id: string): Promise<Group> {
    const users = new Set<RunningJob>();
    const job = groupJob(first, id, { users, steps: await this.#stepsOf(first, id) });
    for (const [image, facts] of first.images) job.images.set(image, facts);
    // Until the group is there, what has been made of it is nobody's.
    this.#mayHaveStrays = true;
    await job.ensureNetwork();
    const services = new Services(job);
    const failed = new AbortController();
    services.failed.addEventListener('abort', () => failed.abort(services.failed.reason), { once: true });
    const ready = services.start(toItsEnd());
    ready.catch((error: unknown) => failed.abort(error));
    const group = { job, services, failed, ready, users, idleSince: Date.now() };
    this.#strays.delete(id);
    this.#groups.set(id, group);
    return group;
  }

  /** As they stand on the engine. A job that has yet to begin has new ones where not all of them run. */
  async #stepsOf({ plan, record, ground: { engine } }: RunningJob, id: string): Promise<StepRecord[]> {
    const names = sharedServices(plan).map((service) => service.id);
    const find = async (name: string) => await engine.inspect(containerName(id, name), toItsEnd());
    const found = await Promise.all(names.map(find));
    const goesOn = Object.values(record.steps).some(({ attempts }) => attempts > 0);
    const isWhole = found.every((facts) => facts?.status === 'running');
    if (isWhole || goesOn) return names.map((name, index) => stepOf(name, found[index]));
    // Nothing but the containers: jobs that used those before may still be leaving the network.
    assertGone(await takeContainers(id, engine, toItsEnd()));
    return names.map(freshStep);
  }

  /** False if there was none of it. */
  async #end(id: string, engine: ContainerEngine): Promise<boolean> {
    const group = this.#groups.get(id);
    this.#ending.add(id);
    await group?.services.stop('served');
    // What cannot be ended now has been idle for as long when that is tried again.
    if (group) this.#strays.set(id, group.idleSince);
    this.#groups.delete(id);
    // Until it is known to be gone.
    this.#mayHaveStrays = true;
    const cleanup = await takeAway(id, engine, toItsEnd());
    assertGone(cleanup);
    this.#strays.delete(id);
    this.#ending.delete(id);
    return cleanup.removed.length > 0;
  }
}

interface GroupParts {
  readonly users: ReadonlySet<RunningJob>;
  readonly steps: readonly StepRecord[];
}

/** A job of nothing but the services, as the first one that shares them has them in its plan. Its users hear what happens. */
function groupJob({ plan, record, ground }: RunningJob, id: string, { users, steps }: GroupParts): RunningJob {
  const services = sharedServices(plan).map(({ scope: _, ...service }) => service);
  const nothing = { checks: [], init: [], steps: [], inputs: [], outputs: [], preflight: [] };
  const kept = {
    ...{ job_id: id, task_id: id, fencing: 1 },
    plan: { ...plan, ...nothing, identity: { ...plan.identity, job_id: id }, services, keep: false },
    record: { ...record, steps: Object.fromEntries(steps.map((step) => [step.id, step])) },
  };
  return new RunningJob(kept, {
    ...{ ...ground, taskId: id, fencing: 1, signal: toItsEnd(), enter: () => undefined },
    jobs: { ...ground.jobs, records: memoryRecords(), outputs: undefined },
    emit: (...event) => {
      for (const user of users) user.emit(...event);
    },
  });
}

/** What a job has of the network while it runs: its own services, and one more container at a time. */
function addressesOf({ services }: JobPlan): number {
  return services.filter(({ scope }) => scope !== 'project').length + 1;
}

function stepOf(id: string, facts: ContainerFacts | undefined): StepRecord {
  if (!facts) return freshStep(id);
  const { id: container_id, startedAt, status } = facts;
  return {
    ...freshStep(id),
    ...{ state: 'running', attempts: 1, container_id, started_at: startedAt, run_started_at: startedAt },
    starting: status === 'created',
  };
}

/** Throws where nothing is to be done for these jobs any more. */
function unlessLetGo(error: unknown): void {
  if (!(error instanceof AgentError)) throw error;
}

function assertGone({ failed: [reason] }: Cleanup): void {
  if (reason !== undefined) throw new AgentError('name.conflict', { reason });
}

/** Puts the parts of the agent together. Nothing of it is at work yet; `daemon.ts` starts and ends it. */

import type { RecordBody } from '../contract/records.ts';
import { readBootId } from '../host/boot-id.ts';
import { probeGpuLinks } from '../host/gpu-topology.ts';
import { probeGpus } from '../host/gpus.ts';
import { kernelLogDevice } from '../host/kernel-log.ts';
import { readDisk } from '../host/resources.ts';
import { startedParts } from '../jobs/job-record.ts';
import { openOutputs } from '../jobs/outputs/keep-outputs.ts';
import type { Clock } from '../kit/clock.ts';
import type { Log } from '../kit/log.ts';
import type { HostPolicy } from '../policy/host-policy.ts';
import type { ContainerEngine } from '../runtime/engine.ts';
import type { StackRunner } from '../runtime/stacks.ts';
import type { Lifecycle } from '../tasks/task-context.ts';
import { isOfHost } from './bare-task.ts';
import type { LoadedConfig } from './config.ts';
import { collect } from './diagnostics/collect.ts';
import { Dispatcher } from './dispatch.ts';
import { DrainState } from './drain-state.ts';
import { explain } from './explain/explain.ts';
import { explainSources } from './explain/sources.ts';
import { GpuHealth } from './gpus/gpu-health.ts';
import { HostAgent } from './host-agent.ts';
import { HostDoctor } from './host-doctor.ts';
import { cardsToReconcile, conflictEvent, openGpuLedger } from './host-gpus.ts';
import { jobOutputsFolder, openHostJobs, scriptLogFolder } from './host-jobs.ts';
import { HostPressure } from './host-pressure.ts';
import { HostRoom } from './host-room.ts';
import { openIdentityKey } from './identity/identity-key.ts';
import { unsealWithKeyOf } from './identity/wrapping-key.ts';
import type { Journal } from './journal/journal.ts';
import { KeptForLater } from './kept-for-later.ts';
import { admitUnlessDraining, lifecycleOf } from './lifecycle.ts';
import type { AgentStatus } from './local-api/agent-status.ts';
import { LogStreams } from './logs/log-streams.ts';
import { openLogSources } from './logs/open-sources.ts';
import { openReceipts } from './sign-receipts.ts';
import { Supervisor } from './supervision/supervisor.ts';
import { secretsOfAll } from './supervision/workload-secrets.ts';
import { taskLogFolder } from './task-log.ts';
import { TaskLoop } from './task-loop.ts';
import { TaskCounts } from './telemetry/agent-metrics.ts';
import { manifestTrust } from './trust/trust-files.ts';
import { placesOf } from './update/places.ts';
import { Updater } from './update/updater.ts';
import type { Uplink } from './uplink.ts';

export interface Ground {
  readonly loaded: LoadedConfig;
  readonly policy: HostPolicy;
  readonly version: string;
  readonly journal: Journal;
  readonly engine: ContainerEngine;
  readonly stacks: StackRunner;
  readonly uplink: Uplink;
  readonly clock: Clock;
  readonly log: Log;
  /** Where the lines of task logs go beside their files. */
  readonly alsoTaskLogs?: { write(line: string): void } | undefined;
  /** The kernel's log, where it was opened for us. */
  readonly kernelLog?: number | undefined;
}

/** Who wants to know that something changed. */
export interface ChangeListener {
  workloadsChanged(): void;
  hostChanged(): void;
}

export function assembleAgent(ground: Ground) {
  const { loaded, policy, version, journal, engine, stacks, uplink, clock, log } = ground;
  const { config } = loaded;
  const listeners: ChangeListener[] = [];
  const tell = (what: keyof ChangeListener) => {
    for (const listener of listeners) {
      listener[what]();
    }
  };

  const unseal = (jwe: string) => unsealWithKeyOf(config.state_dir, jwe);
  const drain = new DrainState(config.state_dir);
  const counts = new TaskCounts();
  const engineData = { path: undefined as string | undefined };
  const kept: KeptForLater = new KeptForLater({
    ...{ engine, jobs: journal.jobs, maxAgeHours: policy.caches?.max_age_hours, clock, log },
    services: {
      idleSince: (id) => jobs.groups.idleSince(id),
      giveWay: async (id) => await jobs.groups.giveWay(id, engine),
    },
    report: (event) => journal.append('event', event),
    onChange: () => tell('hostChanged'),
  });
  const disk = async () => {
    engineData.path ??= (await engine.facts(AbortSignal.timeout(factsTimeoutMs))).rootDir;
    return await readDisk(engineData.path);
  };
  const diskReserveBytes = policy.reserves.disk_gib * 2 ** 30;
  const pressure = new HostPressure({
    ...{ clock, log, diskReserveBytes, disk },
    makeRoom: (missing) => kept.makeRoom({ missing, reason: 'disk_short' }),
    report: (event) => journal.append('event', event),
    onChange: () => tell('hostChanged'),
  });

  const health: GpuHealth = new GpuHealth({
    ...healthSources(ground),
    heldBy: (uuid) => gpus.holders().get(uuid) ?? null,
    onChange: () => {
      supervisor.cardsChanged();
      tell('hostChanged');
    },
  });
  const gpus = openGpuLedger({
    ...{ engine, policy },
    inventory: (signal) => health.inventory(signal),
    store: { all: () => journal.leases(), replace: (instance, leases) => journal.keepLeases(instance, leases) },
    onConflict: (conflict) => journal.append('event', conflictEvent(conflict, clock)),
    onChange: () => {
      tell('workloadsChanged');
      tell('hostChanged');
    },
  });
  const outputs = openOutputs({
    ...{ engine, folder: jobOutputsFolder(config), destination: uplink.outputs, clock, log },
    limits: { ...outputLimits, reserve: diskReserveBytes },
  });
  const room: HostRoom = new HostRoom({
    ...{ diskReserveBytes, disk, kept, jobs: journal.jobs, log },
    isShort: () => pressure.isShort,
    onChange: () => tell('hostChanged'),
  });
  const jobs = openHostJobs({
    ...{
      journal,
      outputs,
      receipts: receiptsOf(ground),
      room,
      trust: manifestTrust(loaded.file),
      fetching: { policy, log, clock, revisions: uplink.revisions },
      scriptLogs: scriptLogFolder(config),
    },
  });
  const logs = openLogSources({
    ...{ engine, taskLogs: taskLogFolder(config), builds: jobs.builds.logs, scripts: jobs.scripts },
    servicesOf: (id) => {
      const row = journal.workload(id);
      if (row) return (row.stack?.services ?? []).map(({ service }) => service);
      return startedParts(journal.jobs.outline(id));
    },
  });
  const endIdle = async () => {
    const idleSeconds = drain.current ? 0 : policy.service_idle_seconds;
    await jobs.groups.endIdle({ engine, idleSeconds });
  };
  const onDrain = () => {
    tell('hostChanged');
    endIdle().catch((err: unknown) => log.warn({ err }, 'shared services could not be ended'));
  };
  const dispatcher: Dispatcher = new Dispatcher({
    ...{ engine, stacks, policy, gpus, unseal, parallel: config.tasks.parallel },
    jobs,
    // The journal has judged the time once, when the task was accepted; what was begun in time may be finished later.
    now: () => 0,
    // Of a task that it does not know the control plane would refuse to answer.
    pullCredential: async (task, signal) =>
      host.credentialOf(task.task_id) ?? (isOfHost(task) ? undefined : await uplink.credential(task, unseal, signal)),
    launchParams: (id) => journal.workload(id)?.params ?? undefined,
    stackParams: (id) => journal.workload(id)?.stack?.params ?? undefined,
    lifecycle: (task) =>
      lifecycleOf({
        ...{ drain, journal, clock, tasks: () => loop.size, onDrain },
        by: isOfHost(task) ? 'host' : 'control_plane',
        update: (wish, how) => updater.update({ ...wish, byHost: isOfHost(task) }, how),
        diagnose,
        rotateKeys: async () => {
          await uplink.rotateKeys();
          return new Date(uplink.serverNow()).toISOString();
        },
      }),
    taskLogs: {
      folder: taskLogFolder(config),
      level: config.log_level,
      maxBytes: config.task_logs.max_size_mib * 2 ** 20,
      maxTasks: config.task_logs.max_tasks,
      also: ground.alsoTaskLogs,
    },
  });
  const supervisor: Supervisor = new Supervisor({
    cards: cardsToReconcile(gpus, journal),
    ...{ engine, stacks, journal, clock, log, unseal, admission: dispatcher.admission },
    cardHealth: {
      heldBy: (id) => journal.leases().filter(({ instance }) => instance === id),
      unhealthy: () => health.unhealthy(),
      vanished: () => health.vanished(),
    },
    onChange: () => tell('workloadsChanged'),
    onEngine: () => tell('hostChanged'),
  });
  const loop: TaskLoop = new TaskLoop({
    ...{ journal, dispatcher, supervisor, clock, log, parallel: config.tasks.parallel },
    serverNow: () => uplink.serverNow(),
    admit: (candidate) => {
      admitUnlessDraining(drain, candidate);
      pressure.admit(candidate);
    },
    onReleased: () => jobs.running.letGo(),
    onEnded: ({ type }, result) => {
      counts.ended(type, result);
      uplink.pull();
    },
  });
  const updates = placesOf(config);
  const updater = new Updater({
    ...{ version: ground.version, settings: config.updates, places: updates, source: uplink.releases, clock },
    othersEnd: (ms) => loop.othersEnd(ms),
    hold: (reason) => {
      const release = loop.hold(reason);
      uplink.pull();
      return () => {
        release();
        uplink.pull();
      };
    },
  });
  const status = () => statusOf(ground, { drain, supervisor, loop, startedAt });
  const startedAt = new Date(clock.wallMs()).toISOString();
  const doctor = new HostDoctor({ loaded, policy, engine, living: { clock, uplink, journal } });
  const secrets = () => secretsOfAll(journal, unseal);
  const diagnose: Lifecycle['diagnose'] = (wish, signal) => {
    const living = { status, journal, secrets, cards: () => host.cards() };
    return collect({ loaded, policy, version, doctor, engine, living }, wish, signal);
  };
  const places = { taskLogs: taskLogFolder(config), outputs: jobOutputsFolder(config) };
  const facts = explainSources({ engine, journal, ...places });
  const host: HostAgent = new HostAgent({
    ...{ loaded, policy, journal, doctor, engine, loop, drain, logs, status, gpus, health, diagnose, kept },
    ...{ version: ground.version, updates, updater },
    onDrain,
    rotateKeys: () => uplink.rotateKeys(),
    explain: (id, signal) => explain(id, facts, signal),
  });

  return {
    ...{ dispatcher, supervisor, loop, pressure, host, drain, counts, status, admission: dispatcher.admission },
    ...{ gpus, health, updater, updates, doctor, jobs, outputs, kept, room, endIdle },
    streams: new LogStreams({ sources: logs }),
    engineData: () => engineData.path ?? policy.allocation.home,
    onChange: (listener: ChangeListener) => void listeners.push(listener),
  };
}

/** Of what is kept of jobs on this host; the control plane has bounds of its own. */
const outputLimits = { each: 64 * 2 ** 30, all: 128 * 2 ** 30 };

/** A host that is no node has no name to sign with. */
function receiptsOf({ policy, loaded: { config }, journal, uplink }: Ground) {
  if (!uplink.outputs) return undefined;
  return openReceipts({ nodeId: policy.node_id, key: () => openIdentityKey(config.state_dir), journal });
}

const factsTimeoutMs = 15_000;

function healthSources({ loaded: { config }, journal, clock, log, kernelLog }: Ground) {
  const { kernel_log } = config.gpus;
  const sources = (signal: AbortSignal) => ({ path: process.env['PATH'], signal });
  return {
    ...{ clock, log, stateDir: config.state_dir, bootId: readBootId() },
    kernelLog: kernel_log === kernelLogDevice ? (kernelLog ?? kernel_log) : kernel_log,
    lookEveryMs: config.gpus.interval_seconds * 1000,
    probe: (signal: AbortSignal) => probeGpus(sources(signal)),
    links: (signal: AbortSignal) => probeGpuLinks(sources(signal)),
    report: (event: RecordBody<'event'>) => void journal.append('event', event),
  };
}

interface StatusParts {
  readonly drain: DrainState;
  readonly supervisor: Supervisor;
  readonly loop: TaskLoop;
  readonly startedAt: string;
}

function statusOf(
  { loaded: { config }, policy, version, journal, uplink }: Ground,
  { drain, supervisor, loop, startedAt }: StatusParts,
): AgentStatus {
  const { records, full } = journal.depth();
  const { parallel } = config.tasks;
  const failure = full ? 'The disk has no room: no new task is accepted.' : null;
  return {
    ...{ version, pid: process.pid, node_id: policy.node_id, allocation_id: policy.allocation.id },
    ...{ started_at: startedAt, draining: drain.current !== null, drained_by: drain.by, session: uplink.status() },
    engine: supervisor.engineState,
    journal: { journal_id: journal.id, outbox: records, failure },
    tasks: { running: Math.min(loop.size, parallel), waiting: Math.max(0, loop.size - parallel), parallel },
    workloads: supervisor.workloads(),
  };
}

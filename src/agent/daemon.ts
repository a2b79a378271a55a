/**
 * `node-agent run`: one agent, from its lock to its last word.
 *
 *   lock ─▶ journal ─▶ engine ─▶ recover ─▶ supervise ─▶ serve the host ─▶ connect ─▶ ready ─▶ pull … ─▶ stop, in the other order
 *
 * Stopping takes seconds and cancels nothing: workloads live on, and a task that is at work is run again by the next start,
 * which finds what it left behind. Where a service manager is asked for the stop, which has patience, it may end by itself first. The same holds for SIGKILL, with nothing lost but the seconds.
 */
import { join } from 'node:path';
import type { Service } from '../host/systemd/service.ts';
import { type Clock, systemClock } from '../kit/clock.ts';
import { GiveBackWhenQuiet } from '../kit/give-back-memory.ts';
import type { Log } from '../kit/log.ts';
import type { HostPolicy } from '../policy/host-policy.ts';
import { openStacks } from '../runtime/compose/open-stacks.ts';
import type { ContainerEngine } from '../runtime/engine.ts';
import { assembleAgent } from './agent-parts.ts';
import { type AgentConfig, hostPolicyOf, type LoadedConfig } from './config.ts';
import { startReports } from './daemon-reports.ts';
import { readNode } from './identity/node-record.ts';
import { openJournal } from './journal/open-journal.ts';
import { lockState } from './journal/state-lock.ts';
import type { AgentStatus } from './local-api/agent-status.ts';
import { localClient } from './local-api/client.ts';
import { serveLocalApi } from './local-api/server.ts';
import { configOfNode } from './node-config.ts';
import { statusSentence } from './status-sentence.ts';
import { standTrial } from './update/trial.ts';
import { keepUp } from './upkeep.ts';
import { openUplink, type Standing } from './uplink.ts';
import { VitalSigns } from './vital-signs.ts';

export interface DaemonOptions {
  readonly loaded: LoadedConfig;
  readonly version: string;
  readonly log: Log;
  readonly clock?: Clock;
  /** What it is to systemd. */
  readonly service: Service;
  readonly openEngine: (config: AgentConfig, policy: HostPolicy, log: Log) => Promise<OpenedEngine>;
}

export interface OpenedEngine {
  readonly engine: ContainerEngine;
  /** Of the gate. */
  readonly socketPath: string;
  close(): Promise<void>;
}

/** How long another process of this host, such as `run-task`, may take to end before this one gives up. */
const lockPatienceMs = 30_000;
/** How long a task that is at work may take to end by itself when the agent stops; the second as a service (TimeoutStopSec=45s). */
const stopGraceMs = 2000;
const serviceStopGraceMs = 25_000;
/** An engine that has not said how it is by then does not keep the agent from being ready. */
const enginePatienceMs = 5000;
/** After that long without a change the memory is given back that start or work have needed. */
const quietMs = 10_000;

/**
 * Resolves when `stop` was aborted and everything is closed. `agent.busy`, `config.invalid` and the like where it cannot
 * begin; once it has begun, no trouble of engine, gate, network or control plane ends it.
 */
export async function runDaemon(options: DaemonOptions, stop: AbortSignal): Promise<void> {
  const { version, log, clock = systemClock, service } = options;
  const stateDir = options.loaded.config.state_dir;
  await using life = new AsyncDisposableStack();

  const onWait = (holder: string) => log.warn({ reason: holder }, 'waiting for another process to end');
  const lock = await lockState(stateDir, {
    ...{ owner: 'node-agent run', waitMs: lockPatienceMs, signal: stop, onWait },
  });
  life.defer(() => lock.release());
  const node = readNode(stateDir);
  const loaded = configOfNode(options.loaded, node);
  const { config } = loaded;
  const policy = await hostPolicyOf(loaded);
  const journal = openJournal({ stateDir });
  life.defer(() => journal.close());
  const { engine, socketPath, close } = await options.openEngine(config, policy, log);
  life.defer(close);

  const stacks = openStacks({ socketPath, stateDir, folders: config.stacks.plugin_folders });
  const uplink = openUplink({ config, node, journal, clock, log, version });
  const ground = { loaded, policy, version, journal, engine, stacks, uplink, clock, log };
  const agent = assembleAgent({ ...ground, alsoTaskLogs: service.journal, kernelLog: service.kernelLog });
  const reports = await startReports({ ...agent, config, policy, version, engine, stacks, journal, clock, log });
  life.defer(() => reports.close());
  agent.onChange(reports);
  life.defer(() => agent.updater.close());
  life.defer(() => agent.outputs.close());

  const recovered = agent.loop.recover();
  const ending = new AbortController();
  const background = [
    agent.supervisor.run(ending.signal),
    agent.health.run(ending.signal),
    keepUp({
      ...{
        pressure: agent.pressure,
        inputs: agent.jobs.inputs,
        kept: agent.kept,
        room: agent.room,
        journal,
        serverNow: () => uplink.serverNow(),
      },
      endIdle: agent.endIdle,
      ...{ clock, log, signal: ending.signal },
    }),
  ];
  life.defer(async () => {
    ending.abort();
    await Promise.all(background);
  });

  const ownSocket = join(config.run_dir, 'agent.sock');
  const localApi = await serveLocalApi(agent.host, { socketPath: ownSocket, log });
  life.defer(() => localApi.close());
  const vital = new VitalSigns({
    ...{ manager: service.manager, clock, log, status: () => statusSentence(agent.status()) },
    signs: {
      journal: () => journal.pulse(),
      socket: async (signal) => void (await localClient(ownSocket).ask('/v1/status', { signal })),
    },
  });
  const memory = new GiveBackWhenQuiet(quietMs);
  life.defer(() => memory.close());
  const changed = () => {
    vital.changed(ending.signal);
    memory.busy();
  };
  agent.onChange({ workloadsChanged: changed, hostChanged: changed });
  uplink.start({
    onTask: (task) => agent.loop.take(task),
    onCancel: (taskId) => void agent.loop.cancel(taskId),
    credits: () => agent.loop.credits,
    logs: agent.streams,
    onState: ({ kind }) => {
      if (kind === 'connected') {
        reports.reportAll();
      }
      changed();
    },
  });
  life.defer(() => uplink.close());
  life.defer(() => agent.loop.close(service.manager.listens ? serviceStopGraceMs : stopGraceMs));

  log.info({ node: policy.node_id, version, count: recovered, pid: process.pid }, 'agent runs');
  await engineAsked(agent.status, clock, stop);
  await vital.ready();
  background.push(
    vital.run(ending.signal),
    standTrial({
      ...{ places: agent.updates, version, stableSeconds: config.updates.stable_seconds, clock, log },
      ...{ signal: ending.signal, isWell: () => isWell(agent.supervisor.engineState, uplink.standing()) },
    }),
  );
  await aborted(stop);
  await vital.stopping(`Stops, with ${agent.loop.size} tasks at work. Workloads live on.`);
  log.info({ count: agent.loop.size }, 'agent stops; workloads live on');
}

/** Resolves when the engine has answered or is known to be away. */
async function engineAsked(status: () => AgentStatus, clock: Clock, signal: AbortSignal): Promise<void> {
  const end = clock.monotonicMs() + enginePatienceMs;
  while (status().engine.state === 'unknown' && clock.monotonicMs() < end && !signal.aborted) {
    await clock.pause(10, signal).catch(() => undefined);
  }
}

/** What a version on trial has to show once it serves the host. A control plane that is away says nothing about it. */
function isWell({ state }: AgentStatus['engine'], standing: Standing): boolean {
  return state === 'ready' && standing !== 'other';
}

async function aborted(signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  signal.addEventListener('abort', () => resolve(), { once: true });
  if (signal.aborted) {
    resolve();
  }
  await promise;
}

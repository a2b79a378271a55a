/**
 * `node-agent run`: one agent, from its lock to its last word.
 *
 *   lock ─▶ journal ─▶ engine ─▶ recover ─▶ supervise ─▶ serve the host ─▶ connect ─▶ pull … ─▶ stop, in the other order
 *
 * Stopping takes seconds and cancels nothing: workloads live on, and a task that is at work is run again by the next start,
 * which finds what it left behind. The same holds for SIGKILL, with nothing lost but the seconds.
 */
import { join } from 'node:path';
import { type Clock, systemClock } from '../kit/clock.ts';
import type { Log } from '../kit/log.ts';
import { repeat } from '../kit/repeat.ts';
import type { HostPolicy } from '../policy/host-policy.ts';
import { openStacks } from '../runtime/compose/open-stacks.ts';
import type { ContainerEngine } from '../runtime/engine.ts';
import { assembleAgent } from './agent-parts.ts';
import { type AgentConfig, hostPolicyOf, type LoadedConfig } from './config.ts';
import { startReports } from './daemon-reports.ts';
import { readNode } from './identity/node-record.ts';
import { openJournal } from './journal/open-journal.ts';
import { lockState } from './journal/state-lock.ts';
import { serveLocalApi } from './local-api/server.ts';
import { configOfNode } from './node-config.ts';
import { openUplink } from './uplink.ts';

export interface DaemonOptions {
  readonly loaded: LoadedConfig;
  readonly version: string;
  readonly log: Log;
  readonly clock?: Clock;
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
/** How long a task that is at work may take to end by itself when the agent stops. */
const stopGraceMs = 2000;
const minuteMs = 60_000;

/**
 * Resolves when `stop` was aborted and everything is closed. `agent.busy`, `config.invalid` and the like where it cannot
 * begin; once it has begun, no trouble of engine, gate, network or control plane ends it.
 */
export async function runDaemon(options: DaemonOptions, stop: AbortSignal): Promise<void> {
  const { version, log, clock = systemClock } = options;
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
  const agent = assembleAgent({ loaded, policy, version, journal, engine, stacks, uplink, clock, log });
  const reports = await startReports({ ...agent, config, policy, version, engine, stacks, journal, clock, log });
  life.defer(() => reports.close());
  agent.onChange(reports);

  const recovered = agent.loop.recover();
  const ending = new AbortController();
  const background = [
    agent.supervisor.run(ending.signal),
    agent.health.run(ending.signal),
    repeat(() => agent.pressure.look(), {
      ...{ everyMs: minuteMs, clock, signal: ending.signal },
      onError: (err) => log.warn({ err }, 'host could not be looked at'),
    }),
    repeat(() => journal.prune(uplink.serverNow()), {
      ...{ everyMs: 10 * minuteMs, clock, signal: ending.signal },
      onError: (err) => log.warn({ err }, 'journal could not be pruned'),
    }),
  ];
  life.defer(async () => {
    ending.abort();
    await Promise.all(background);
  });

  const localApi = await serveLocalApi(agent.host, { socketPath: join(config.run_dir, 'agent.sock'), log });
  life.defer(() => localApi.close());
  uplink.start({
    onTask: (task) => agent.loop.take(task),
    onCancel: (taskId) => void agent.loop.cancel(taskId),
    credits: () => agent.loop.credits,
    logs: agent.streams,
    onState: ({ kind }) => kind === 'connected' && reports.reportAll(),
  });
  life.defer(() => uplink.close());
  life.defer(() => agent.loop.close(stopGraceMs));

  log.info({ node: policy.node_id, version, count: recovered, pid: process.pid }, 'agent runs');
  await aborted(stop);
  log.info({ count: agent.loop.size }, 'agent stops; workloads live on');
}

async function aborted(signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  signal.addEventListener('abort', () => resolve(), { once: true });
  if (signal.aborted) {
    resolve();
  }
  await promise;
}

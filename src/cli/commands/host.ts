/**
 * `node-agent host …`: what `bootstrap.sh` leaves to the agent because a shell is no good place for it: JSON, rules made of
 * the configuration, and talk with the daemon and the control plane. Each prints a file or does one thing.
 */
import { readFileSync } from 'node:fs';
import { loadConfig } from '../../agent/config.ts';
import { firstConfig, withGvisorCards } from '../../agent/first-config.ts';
import { leave } from '../../agent/identity/leave.ts';
import { readNode } from '../../agent/identity/node-record.ts';
import { lockState } from '../../agent/journal/state-lock.ts';
import type { AgentStatus } from '../../agent/local-api/agent-status.ts';
import { originOf } from '../../agent/uplink.ts';
import { AgentError } from '../../contract/failures.ts';
import { mergeEngineConfig, runtimePrograms } from '../../host/engine-config.ts';
import { probeGpus } from '../../host/gpus.ts';
import { whyNoneInGvisor } from '../../host/gvisor-cards.ts';
import { poolFirewall } from '../../host/pool-firewall.ts';
import { findProgram, searchFolders } from '../../host/programs.ts';
import { systemClock } from '../../kit/clock.ts';
import { exitCodes } from '../exit-codes.ts';
import { askAgent } from '../local-agent.ts';
import { printLine, tell } from '../output.ts';
import { runByDaemon } from '../run-by-daemon.ts';

interface WithConfig {
  readonly config?: string;
}

export interface EngineConfigOptions {
  readonly nvidia?: string;
  readonly gvisor?: string;
  readonly gvisorDirectfs: boolean;
  readonly gvisorCards?: boolean;
  readonly liveRestore: boolean;
}

/** Prints `daemon.json` with what is missing in it, and on stderr what the operator has set otherwise. */
export function printEngineConfig(file: string, options: EngineConfigOptions): number {
  const { nvidia, gvisor, gvisorDirectfs, gvisorCards, liveRestore } = options;
  const merged = mergeEngineConfig(textOf(file), {
    ...{ liveRestore, gvisorDirectfs },
    ...(nvidia === undefined ? {} : { nvidiaRuntime: nvidia }),
    ...(gvisor === undefined ? {} : { gvisorRuntime: gvisor }),
    ...(gvisorCards === undefined ? {} : { gvisorCards }),
  });
  process.stdout.write(merged.text);
  for (const sentence of merged.otherwise) tell(sentence);
  return exitCodes.ok;
}

export interface FirstConfigOptions {
  readonly user: string;
  readonly socketGid: number;
  readonly registry: readonly string[];
  readonly gvisor: boolean;
  readonly gvisorCards: boolean;
  readonly payloads: boolean;
  readonly networkPool?: string;
}

/** Prints the `agent.json` that a host begins with. */
export function printFirstConfig(invitation: string, { registry, ...options }: FirstConfigOptions): number {
  process.stdout.write(firstConfig(parsed(textOf(invitation)), { ...options, registries: registry }));
  return exitCodes.ok;
}

/** Prints an `agent.json` in which containers under gVisor may have cards, or may not. */
export function printGvisorCards(file: string, { off }: { readonly off: boolean }): number {
  process.stdout.write(withGvisorCards(textOf(file), !off));
  return exitCodes.ok;
}

/** Prints the gVisor of this `daemon.json`, or says why that could hand on no card of this host. */
export async function checkGvisorCards(file: string): Promise<number> {
  const path = process.env['PATH'];
  const { signal } = new AbortController();
  const { gpus } = await probeGpus({ path, signal });
  const find = (program: string) => findProgram(program, searchFolders(path));
  const programs = runtimePrograms(textOf(file));
  const why = await whyNoneInGvisor({ name: 'runsc', programs, gpus, find }, signal);
  if (why === undefined) printLine(programs.get('runsc')?.path ?? '');
  else tell(why);
  return why === undefined ? exitCodes.ok : exitCodes.failed;
}

/** Prints the firewall of the configured pool. */
export async function printFirewall({ config: file }: WithConfig): Promise<number> {
  const { config } = await loadConfig(file, process.env);
  process.stdout.write(poolFirewall(config.network_pool));
  return exitCodes.ok;
}

/** Waits until the daemon is connected and its engine answers; says what is missing where that does not happen in time. */
export async function awaitReady({ config, wait }: WithConfig & { readonly wait: number }): Promise<number> {
  const end = systemClock.monotonicMs() + wait * 1000;
  for (;;) {
    const missing = await whatIsMissing(config);
    if (missing === undefined) return exitCodes.ok;
    if (systemClock.monotonicMs() >= end) {
      tell(missing);
      return exitCodes.failed;
    }
    await systemClock.pause(200);
  }
}

async function whatIsMissing(config: string | undefined): Promise<string | undefined> {
  let status: AgentStatus;
  try {
    status = await (await askAgent(config)).ask<AgentStatus>('/v1/status');
  } catch (error) {
    if (error instanceof AgentError && error.code === 'agent.absent') return 'The agent does not answer.';
    throw error;
  }
  const { session, engine } = status;
  if (session.state !== 'connected') return `The agent is not connected: ${session.reason ?? session.state}.`;
  return engine.state === 'ready'
    ? undefined
    : `The engine is ${engine.state}${engine.reason ? `: ${engine.reason}` : ''}.`;
}

/** Takes all workloads of ours off the host; what they have written stays in the home of the allocation's user. */
export async function removeWorkloads({ config }: WithConfig): Promise<number> {
  const agent = await askAgent(config);
  await agent.ask('/v1/drain', { body: { on: true } });
  const { workloads } = await agent.ask<AgentStatus>('/v1/status');
  let failed = 0;
  for (const workload of workloads) {
    const { status, failure } = await runByDaemon(agent, removalOf(workload), {
      ...{ credential: undefined, cancel: new AbortController().signal, onEvent: () => undefined },
    });
    tell(`${workload.workload_id}: ${status === 'succeeded' ? 'removed, its data is kept' : failure?.message}`);
    if (status !== 'succeeded') failed += 1;
  }
  return failed === 0 ? exitCodes.ok : exitCodes.failed;
}

function removalOf({ workload_id, project_id, allocation_id, services }: AgentStatus['workloads'][number]) {
  const identity = {
    ...{ project_id, allocation_id, app_instance_id: workload_id },
    ...{ app_slug: 'uninstall', app_version: '0', display_name: 'uninstall' },
  };
  return {
    type: services === undefined ? 'workload.oci_remove' : 'workload.compose_remove',
    params: { identity, keep_data: true, grace_seconds: 10 },
  };
}

/** The host stops being a node; the daemon must have stopped. */
export async function leaveControlPlane({ config: file }: WithConfig): Promise<number> {
  const { config } = await loadConfig(file, process.env);
  const lock = await lockState(config.state_dir, { owner: 'node-agent host leave', waitMs: 10_000 });
  try {
    const node = readNode(config.state_dir);
    if (!node) return exitCodes.ok;
    await leave({ stateDir: config.state_dir, origin: originOf(config, node) });
    tell(`Node ${node.node_id} is revoked.`);
    return exitCodes.ok;
  } finally {
    lock.release();
  }
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    const { code = 'error' } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return '';
    throw new AgentError('config.invalid', { reason: `${file} cannot be read (${code}).`, file }, { cause: error });
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

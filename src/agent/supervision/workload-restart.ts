/**
 * Brings an ended workload back: waits out the backoff, starts the container as it is, waits until it is ready.
 *
 * With the same file system, and with its packages in it. What does not run holds nothing, so it has to fit beside what
 * runs by now; and memory is empty after a boot of the host, so secret files are delivered again. Of a workload that was
 * found by its seal after a journal was lost, only what its container says is known: its secret files must still be there.
 */
import { AgentError, type Failure } from '../../contract/failures.ts';
import { containerName } from '../../contract/names.ts';
import type { Resources } from '../../contract/workload-oci-launch.ts';
import { toItsEnd } from '../../kit/to-its-end.ts';
import type { ContainerEngine } from '../../runtime/engine.ts';
import { untilReady } from '../../runtime/probes/until-ready.ts';
import type { Admission } from '../../tasks/admission.ts';
import { ensureOwnNetwork } from '../../tasks/own-network.ts';
import { deliverSecretFiles } from '../../tasks/secret-files.ts';
import type { Journal, KeptWorkload } from '../journal/journal.ts';
import { decideRestart, restartOf } from './restart-policy.ts';
import { type Discretion, discreetly } from './workload-secrets.ts';
import { type VoiceMeans, WorkloadVoice } from './workload-voice.ts';

export interface RestartMeans extends VoiceMeans {
  readonly engine: ContainerEngine;
  readonly journal: Pick<Journal, 'keepWorkload' | 'workload'>;
  readonly admission: Pick<Admission, 'reserve'>;
  readonly unseal: (jwe: string) => Promise<Buffer>;
  /** Lots of the jitter between restarts: 0 to 1. */
  readonly random?: (() => number) | undefined;
}

/** `ready`; `running` for one that runs and is not ready; `ended` for one that did not last; `off` where nothing may be done. */
export type Restarted = 'ready' | 'running' | 'ended' | 'off';

/** Tries until it runs or its retries are used up. Rejects with the signal's reason, or where the engine is away. */
export async function restartWorkload(
  id: string,
  delayMs: number,
  means: RestartMeans,
  signal: AbortSignal,
): Promise<Restarted> {
  const voice = new WorkloadVoice(means);
  for (let delay = delayMs; ; ) {
    await means.clock.pause(delay, signal);
    const row = means.journal.workload(id);
    if (row?.desired !== 'running') {
      return 'off';
    }
    const tried = { ...row, streak: row.streak + 1 };
    try {
      await start(row, means, signal);
    } catch (error) {
      if (signal.aborted || isEngineAway(error)) {
        throw error;
      }
      const decision = decideRestart(restartOf(row), unstarted, tried.streak, means.random);
      tellStartFailed(tried, failureOf(error, (await discreetly(row, means)).clean), decision.restart, voice);
      if (!decision.restart) {
        return 'off';
      }
      delay = decision.delayMs;
      continue;
    }
    const started = { ...tried, restarts: tried.restarts + 1 };
    const values = { attempt: started.streak, delay_ms: delay };
    voice.tell(started, row.state, { type: 'workload.restarted', message: 'The workload was started again.', values });
    return await awaitReady(started, means, voice, signal);
  }
}

const unstarted = { exitCode: null, oomKilled: false };

async function start(
  { workload_id: instance, project_id, allocation_id, params }: KeptWorkload,
  { engine, admission, unseal }: RestartMeans,
  signal: AbortSignal,
): Promise<void> {
  const resources = params?.resources ?? (await promisedTo(instance, engine, signal));
  const release = await admission.reserve(instance, resources, signal, engine);
  try {
    if (params) {
      await deliverSecretFiles(params, { engine, unseal });
    }
    await ensureOwnNetwork({ app_instance_id: instance, project_id, allocation_id }, engine);
    signal.throwIfAborted();
    await engine.start(containerName(instance), toItsEnd());
  } finally {
    release();
  }
}

async function promisedTo(
  instance: string,
  engine: ContainerEngine,
  signal: AbortSignal,
): Promise<Pick<Resources, 'cpu_cores' | 'memory_gib'>> {
  const container = containerName(instance);
  const facts = await engine.inspect(container, signal);
  if (!facts) {
    throw new AgentError('container.not_found', { container });
  }
  return { cpu_cores: facts.cpuCores, memory_gib: facts.memoryBytes / 2 ** 30 };
}

/** No room, a taken port, a secret that cannot be opened: counts as an attempt. */
function tellStartFailed(row: KeptWorkload, failure: Failure, again: boolean, voice: WorkloadVoice): void {
  const message = `The workload could not be started again: ${failure.message}`;
  voice.tell(row, again ? row.state : 'failed', { type: 'restart.failed', message }, failure);
}

async function awaitReady(
  row: KeptWorkload,
  means: RestartMeans,
  voice: WorkloadVoice,
  signal: AbortSignal,
): Promise<Restarted> {
  const { engine, clean } = await discreetly(row, means);
  try {
    await ready(row, engine, signal);
  } catch (error) {
    if (signal.aborted || isEngineAway(error) || !(error instanceof AgentError)) {
      throw error;
    }
    if (error.code !== 'readiness.timed_out') {
      return 'ended';
    }
    const message = 'The workload was started again and runs, but is not ready; it is left running.';
    voice.tell(row, 'degraded', { type: 'readiness.timed_out', message }, error.toFailure(clean));
    return 'running';
  }
  voice.tell(row, 'running', { type: 'workload.running', message: 'The workload is ready again.' });
  return 'ready';
}

/** Resolves when every readiness check passes, as after a launch. `withinSeconds` shortens the time of each. */
export async function ready(
  { workload_id, params, endpoints, ...row }: Pick<KeptWorkload, 'workload_id' | 'params' | 'readiness' | 'endpoints'>,
  engine: ContainerEngine,
  signal: AbortSignal,
  withinSeconds = Number.POSITIVE_INFINITY,
): Promise<void> {
  const readiness = params?.readiness ?? row.readiness ?? [];
  const ports = params?.ports ?? endpoints.map(({ name, port }) => ({ name, host_port: port }));
  const checks = readiness.map((each) => ({
    ...each,
    timeout_seconds: Math.min(each.timeout_seconds, withinSeconds),
  }));
  await untilReady(checks, { engine, name: containerName(workload_id), ports, signal });
}

/** True for a failure that says nothing about the workload: the engine or the gate is away, or hangs. */
export function isEngineAway(error: unknown): boolean {
  return error instanceof AgentError && (error.code === 'engine.unavailable' || error.code === 'engine.timed_out');
}

function failureOf(error: unknown, clean: Discretion['clean']): Failure {
  if (error instanceof AgentError) {
    return error.toFailure(clean);
  }
  const reason = error instanceof Error ? error.message : String(error);
  return new AgentError('internal', { reason }, { cause: error }).toFailure(clean);
}

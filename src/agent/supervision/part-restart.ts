/**
 * Brings an ended part of a workload back: waits out the backoff, starts its container as it is, waits until it is ready.
 *
 * With the same file system, and with its packages in it. What does not run holds nothing, so the whole workload has to fit
 * beside what runs by now; and memory is empty after a boot of the host, so secret files are delivered again. Of a workload
 * that was found by its seals after a journal was lost, only what its containers say is known: its secret files must still be
 * there. The other services of a stack are left as they are, whoever depends on whom.
 */
import { AgentError, type Failure } from '../../contract/failures.ts';
import { labels } from '../../contract/names.ts';
import type { Resources } from '../../contract/workload-oci-launch.ts';
import { toItsEnd } from '../../kit/to-its-end.ts';
import type { ContainerEngine } from '../../runtime/engine.ts';
import { isEngineAway } from '../../runtime/engine-away.ts';
import { untilReady } from '../../runtime/probes/until-ready.ts';
import type { Admission } from '../../tasks/admission.ts';
import { ensureOwnNetwork } from '../../tasks/own-network.ts';
import { openSecretEnv, openSecretFiles, writeSecretFiles } from '../../tasks/secret-files.ts';
import type { Journal, KeptWorkload } from '../journal/journal.ts';
import { nameOf, type Part, partsOf } from './parts.ts';
import { decideRestart } from './restart-policy.ts';
import { type Discretion, discreetly } from './workload-secrets.ts';
import { type VoiceMeans, WorkloadVoice } from './workload-voice.ts';

export interface RestartMeans extends VoiceMeans {
  readonly engine: ContainerEngine;
  readonly journal: Pick<Journal, 'keepWorkload' | 'workload'>;
  readonly admission: Pick<Admission, 'reserve'>;
  readonly unseal: (jwe: string) => Promise<Buffer>;
  /** Lots of the jitter between restarts: 0 to 1. */
  readonly random?: (() => number) | undefined;
  /** How long what has no readiness checks must run until it is ready again; default as after a launch. */
  readonly settleMs?: number | undefined;
}

/** `ready`; `running` for one that runs and is not ready; `ended` for one that did not last; `off` where nothing may be done. */
export type Restarted = 'ready' | 'running' | 'ended' | 'off';

/** Tries until it runs or its retries are used up. Rejects with the signal's reason, or where the engine is away. */
export async function restartPart(
  id: string,
  container: string,
  delayMs: number,
  means: RestartMeans,
  signal: AbortSignal,
): Promise<Restarted> {
  const voice = new WorkloadVoice(means);
  for (let delay = delayMs; ; ) {
    await means.clock.pause(delay, signal);
    const row = means.journal.workload(id);
    const part = row && partsOf(row).find((each) => each.container === container);
    if (part?.desired !== 'running') {
      return 'off';
    }
    const tried = { ...part, streak: part.streak + 1 };
    try {
      await start(row as KeptWorkload, part, means, signal);
    } catch (error) {
      if (signal.aborted || isEngineAway(error)) {
        throw error;
      }
      const decision = decideRestart(part.policy, unstarted, tried.streak, means.random);
      tellStartFailed(tried, failureOf(error, (await discreetly(id, means)).clean), decision.restart, voice);
      if (!decision.restart) {
        return 'off';
      }
      delay = decision.delayMs;
      continue;
    }
    const started = { ...tried, restarts: tried.restarts + 1 };
    const values = { attempt: started.streak, delay_ms: delay };
    const message = `The ${nameOf(part)} was started again.`;
    voice.tell(started, part.state, { type: 'workload.restarted', message, values });
    return await awaitReady(started, means, voice, signal);
  }
}

const unstarted = { exitCode: null, oomKilled: false };

async function start(
  { workload_id, project_id, allocation_id, params }: KeptWorkload,
  { container, owner, sealed = {} }: Part,
  { engine, admission, unseal }: RestartMeans,
  signal: AbortSignal,
): Promise<void> {
  const resources = params?.resources ?? (await promisedTo(workload_id, container, engine, signal));
  const release = await admission.reserve(workload_id, resources, signal, engine);
  try {
    await writeSecretFiles(owner, await openSecretFiles(sealed, { unseal }), engine);
    await ensureOwnNetwork({ app_instance_id: workload_id, project_id, allocation_id }, engine);
    signal.throwIfAborted();
    await engine.start(container, toItsEnd());
  } finally {
    release();
  }
}

/** All its containers together: what runs of a stack counts no less while one of its services is away. */
async function promisedTo(
  instance: string,
  container: string,
  engine: ContainerEngine,
  signal: AbortSignal,
): Promise<Pick<Resources, 'cpu_cores' | 'memory_gib'>> {
  const all = (await engine.list(signal)).filter(({ labels: of }) => of[labels.instance] === instance);
  if (!all.some(({ name }) => name === container)) {
    throw new AgentError('container.not_found', { container });
  }
  return {
    cpu_cores: all.reduce((sum, { cpuCores }) => sum + cpuCores, 0),
    memory_gib: all.reduce((sum, { memoryBytes }) => sum + memoryBytes, 0) / 2 ** 30,
  };
}

/** No room, a taken port, a secret that cannot be opened: counts as an attempt. */
function tellStartFailed(part: Part, failure: Failure, again: boolean, voice: WorkloadVoice): void {
  const message = `The ${nameOf(part)} could not be started again: ${failure.message}`;
  voice.tell(part, again ? part.state : 'failed', { type: 'restart.failed', message }, failure);
}

async function awaitReady(
  part: Part,
  means: RestartMeans,
  voice: WorkloadVoice,
  signal: AbortSignal,
): Promise<Restarted> {
  const { engine, clean } = await discreetly(part.workload_id, means);
  try {
    await ready(part, { ...means, engine }, signal);
  } catch (error) {
    if (signal.aborted || isEngineAway(error) || !(error instanceof AgentError)) {
      throw error;
    }
    if (error.code !== 'readiness.timed_out') {
      return 'ended';
    }
    const message = `The ${nameOf(part)} was started again and runs, but is not ready; it is left running.`;
    voice.tell(part, 'degraded', { type: 'readiness.timed_out', message }, error.toFailure(clean));
    return 'running';
  }
  voice.tell(part, 'running', { type: 'workload.running', message: `The ${nameOf(part)} is ready again.` });
  return 'ready';
}

/**
 * Resolves when every readiness check passes, as after a launch. `withinSeconds` shortens the time of each. A check that
 * comes with a secret that nobody knows any more is left out.
 */
export async function ready(
  { container, readiness = [], ports, sealed }: Part,
  { engine, unseal, settleMs }: Pick<RestartMeans, 'engine' | 'unseal' | 'settleMs'>,
  signal: AbortSignal,
  withinSeconds = Number.POSITIVE_INFINITY,
): Promise<void> {
  const sealedEnv = sealed && (await openSecretEnv(sealed, { unseal }));
  const checks = readiness
    .filter((each) => each.type !== 'http' || each.bearer_env === undefined || sealedEnv !== undefined)
    .map((each) => ({ ...each, timeout_seconds: Math.min(each.timeout_seconds, withinSeconds) }));
  await untilReady(checks, { engine, name: container, ports, signal, sealedEnv, settleMs });
}

function failureOf(error: unknown, clean: Discretion['clean']): Failure {
  if (error instanceof AgentError) {
    return error.toFailure(clean);
  }
  const reason = error instanceof Error ? error.message : String(error);
  return new AgentError('internal', { reason }, { cause: error }).toFailure(clean);
}

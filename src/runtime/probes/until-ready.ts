/**
 * Waits until a started workload is ready, and notices at once when it never will be.
 *
 * The checks of one endpoint run in their order, all others side by side, each with its own limit from the start; the end of
 * the container is watched at the same time, and it is
 * looked at once more after the last check: a workload that answered and ended is not ready. Without a check it must run
 * for a short while.
 */
import { AgentError, type FailureDetail } from '../../contract/failures.ts';
import type { Port, ReadinessCheck } from '../../contract/workload-oci-launch.ts';
import { backoffDelay, pause } from '../../kit/backoff.ts';
import { explainEnd, readExcerpt } from '../container-end.ts';
import type { ContainerEngine, ContainerFacts } from '../engine.ts';
import { httpProbe } from './http.ts';
import { execProbe, healthProbe } from './inside.ts';
import type { Probe, ProbeResult } from './probe.ts';
import { tcpProbe } from './tcp.ts';

export interface ReadinessOptions {
  readonly engine: Pick<ContainerEngine, 'inspect' | 'wait' | 'exec' | 'logs'>;
  /** Of a container that was started. */
  readonly name: string;
  /** The declared endpoints that checks may name. */
  readonly ports: readonly Pick<Port, 'name' | 'host_port'>[];
  /** Opened values of the sealed variables that checks may name as `bearer_env`. */
  readonly sealedEnv?: Readonly<Record<string, string>> | undefined;
  readonly signal: AbortSignal;
  /** After each attempt of each check. */
  readonly onAttempt?: ((attempt: ReadinessAttempt) => void) | undefined;
  /** How long a workload without checks must run; default a second. */
  readonly settleMs?: number | undefined;
}

export interface ReadinessAttempt extends ProbeResult {
  readonly check: ReadinessCheck;
  /** From 1. */
  readonly attempt: number;
}

/** Slowly growing: a workload that is ready is kept waiting for a seventh of the time that it took, and never a second. */
const backoff = { firstMs: 25, maxMs: 1000, factor: 1.15 };
/** What one look at an endpoint may take. */
const attemptMs = 5000;
/** What it gets although the time of the check is nearly over: an attempt of a millisecond finds out nothing. */
const leastAttemptMs = 1000;
const defaultSettleMs = 1000;

/**
 * Resolves with what the container is like when every check has passed and it runs. Otherwise `container.exited` or `container.oom_killed`
 * as soon as it ends, or `readiness.timed_out` with the last answer of the check that ran out of time.
 */
export async function untilReady(
  checks: readonly ReadinessCheck[],
  options: ReadinessOptions,
): Promise<ContainerFacts> {
  const { engine, name, signal, settleMs = defaultSettleMs } = options;
  const stop = new AbortController();
  const either = AbortSignal.any([signal, stop.signal]);
  try {
    const ready =
      checks.length === 0 ? pause(settleMs, either) : untilAllPassed(checks, { ...options, signal: either });
    await Promise.race([ready, untilEnded(options, either)]);
  } finally {
    stop.abort();
  }
  const container = await engine.inspect(name, signal);
  if (container?.status !== 'running') {
    throw await explainEnd(engine, name, signal);
  }
  return container;
}

/** True for a check that sends a sealed variable, and so can be made only by who has opened it. */
export function asksForSecret(check: ReadinessCheck): boolean {
  return check.type === 'http' && check.bearer_env !== undefined;
}

/** The checks alone: whether the container ends meanwhile is for the caller to see. */
export async function untilAllPassed(checks: readonly ReadinessCheck[], options: ReadinessOptions): Promise<void> {
  const begun = performance.now();
  // All of them first: a check that cannot be made must not leave others running.
  const probes = checks.map((check) => ({ check, probe: probeOf(check, options) }));
  const turns = Map.groupBy(probes, ({ check }) => ('endpoint' in check ? check.endpoint : check));
  await Promise.all(
    [...turns.values()].map(async (turn) => {
      for (const { check, probe } of turn) {
        await untilPassed(check, probe, options, begun);
      }
    }),
  );
}

function probeOf(check: ReadinessCheck, { engine, name, ports, sealedEnv }: ReadinessOptions): Probe {
  switch (check.type) {
    case 'http':
      return httpProbe(portOf(check.endpoint, ports), check.path, { bearer: bearerOf(check, sealedEnv) });
    case 'tcp':
      return tcpProbe(portOf(check.endpoint, ports));
    case 'exec':
      return execProbe(engine, name, check.command);
    case 'container_health':
      return healthProbe(engine, name);
  }
}

/** What a header may hold. */
const headerText = /^[\t\x20-\x7e\x80-\xff]*$/;

function bearerOf(
  { bearer_env: name = '' }: { readonly bearer_env?: string },
  sealedEnv: ReadinessOptions['sealedEnv'],
) {
  const bearer = sealedEnv?.[name];
  if (bearer !== undefined && !headerText.test(bearer)) {
    const error = { path: '/readiness', code: 'bearer', message: `names ${name}, which no header can carry` };
    throw new AgentError('task.invalid', { errors: [error] });
  }
  return bearer;
}

function portOf(endpoint: string, ports: ReadinessOptions['ports']): number {
  const port = ports.find((candidate) => candidate.name === endpoint);
  if (!port) {
    const error = { path: '/readiness', code: 'endpoint', message: `names ${endpoint}, which is not a declared port` };
    throw new AgentError('task.invalid', { errors: [error] });
  }
  return port.host_port;
}

/** Never resolves. */
async function untilEnded({ engine, name }: ReadinessOptions, signal: AbortSignal): Promise<never> {
  await engine.wait(name, signal);
  throw await explainEnd(engine, name, signal);
}

async function untilPassed(
  check: ReadinessCheck,
  probe: Probe,
  options: ReadinessOptions,
  begun: number,
): Promise<void> {
  const { signal } = options;
  const until = begun + check.timeout_seconds * 1000;
  for (let attempt = 1; ; attempt += 1) {
    const result = await attemptOnce(check, probe, until - performance.now(), signal);
    options.onAttempt?.({ check, attempt, ...result });
    if (result.ready) {
      return;
    }
    const left = until - performance.now();
    if (left <= 0) {
      throw await timedOut(check, attempt, result, options);
    }
    await pause(Math.min(backoffDelay(backoff, attempt), left), signal);
  }
}

async function attemptOnce(
  check: ReadinessCheck,
  probe: Probe,
  leftMs: number,
  signal: AbortSignal,
): Promise<ProbeResult> {
  // An exec cannot be ended, so it gets all the time there is.
  const mostMs = check.type === 'exec' ? leftMs : Math.min(leftMs, attemptMs);
  const limitMs = Math.ceil(Math.max(leastAttemptMs, mostMs));
  const limit = AbortSignal.timeout(limitMs);
  try {
    return await probe(AbortSignal.any([signal, limit]));
  } catch (error) {
    signal.throwIfAborted();
    if (limit.aborted) {
      return { ready: false, answer: `no answer within ${limitMs} ms` };
    }
    throw error;
  }
}

async function timedOut(
  check: ReadinessCheck,
  attempts: number,
  { answer }: ProbeResult,
  { engine, name, signal }: ReadinessOptions,
): Promise<AgentError> {
  const excerpt = await readExcerpt(engine, name, signal);
  const detail: FailureDetail = { check: check.type, ...placeOf(check), attempts, answer, excerpt };
  return new AgentError('readiness.timed_out', { ...detail, timeout_seconds: check.timeout_seconds });
}

/** Where a check looks, without arguments and query: they may hold anything. */
export function placeOf(check: ReadinessCheck): FailureDetail {
  switch (check.type) {
    case 'http':
      return { endpoint: check.endpoint, path: check.path.split('?')[0] ?? '' };
    case 'tcp':
      return { endpoint: check.endpoint };
    case 'exec':
      return { command: check.command[0] ?? '' };
    case 'container_health':
      return {};
  }
}

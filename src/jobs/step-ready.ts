/**
 * Asks a step that runs whether it is well: until it is for the first time, and again and again where a check is continuous.
 * Whether its container has ended is for others to see.
 */
import { backoffDelay, pause } from '../kit/backoff.ts';
import { httpProbe } from '../runtime/probes/http.ts';
import type { Probe, ProbeResult } from '../runtime/probes/probe.ts';
import { tcpProbe } from '../runtime/probes/tcp.ts';
import { websocketProbe } from '../runtime/probes/websocket.ts';
import type { Check, ExposedPort } from './resolve-part.ts';

/** A check with the port of the host that it asks. */
interface Asked {
  readonly port: number;
  /** Undefined: whether anything listens there. */
  readonly check: Check | undefined;
  readonly probe: Probe;
}

export interface Unhealthy {
  readonly port: number;
  /** What was seen last; never the content of an answer. */
  readonly answer: string;
  readonly check: Check;
}

export interface Watching {
  readonly hostPortOf: (port: number) => number;
  readonly signal: AbortSignal;
  /** Once all have passed. */
  readonly onReady: () => void;
  /** A continuous check does not pass any more, or passes again. */
  readonly onChange: (unhealthy: Unhealthy | undefined) => void;
}

const backoff = { firstMs: 25, maxMs: 1000, factor: 1.3 };
/** What one look may take. */
const attemptMs = 5000;
/** Time between two looks of a continuous check, and how many in a row have to fail. */
const continuousMs = 2000;
const failuresInARow = 3;

/** Resolves when nothing is to be asked any more; rejects with the signal's reason. */
export async function watchReadiness(ports: readonly ExposedPort[], how: Watching): Promise<void> {
  const asked = ports.flatMap(({ port, checks }): Asked[] => {
    const hostPort = how.hostPortOf(port);
    const probes = checks.map((check) => ({ port, check, probe: probeOf(check, hostPort) }));
    return probes.length > 0 ? probes : [{ port, check: undefined, probe: tcpProbe(hostPort) }];
  });
  await Promise.all(asked.map(({ probe }) => untilPassed(probe, how.signal)));
  how.onReady();
  await Promise.all(asked.map((each) => (each.check?.continuous ? goOnAsking(each, each.check, how) : undefined)));
}

function probeOf(check: Check, port: number): Probe {
  if (check.type === 'websocket') return websocketProbe(port, check.expected_response);
  const { path, method, headers, body, expected_status: expected } = check;
  return httpProbe(port, path, { method, headers, body, expected });
}

async function untilPassed(probe: Probe, signal: AbortSignal): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    if ((await look(probe, signal)).ready) return;
    await pause(backoffDelay(backoff, attempt), signal);
  }
}

async function goOnAsking({ port, probe }: Asked, check: Check, { signal, onChange }: Watching): Promise<void> {
  let failures = 0;
  for (;;) {
    await pause(continuousMs, signal);
    const { ready, answer } = await look(probe, signal);
    if (ready && failures >= failuresInARow) onChange(undefined);
    failures = ready ? 0 : failures + 1;
    if (failures === failuresInARow) onChange({ port, answer, check });
  }
}

/** One that takes too long has not passed. */
async function look(probe: Probe, signal: AbortSignal): Promise<ProbeResult> {
  const limit = AbortSignal.timeout(attemptMs);
  try {
    return await probe(AbortSignal.any([signal, limit]));
  } catch (error) {
    signal.throwIfAborted();
    if (limit.aborted) return { ready: false, answer: `no answer within ${attemptMs / 1000} s` };
    throw error;
  }
}

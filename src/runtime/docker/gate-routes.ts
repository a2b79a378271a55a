/**
 * What only the gate offers, beside the engine's own API: secret files in memory, data of a workload, inputs of a job, its way out, a look into
 * a container that never ran.
 */
import type { EgressRequest } from '../../policy/egress-request.ts';
import type { DataRemoval, PathFacts } from '../engine.ts';
import type { Calls } from './calls.ts';

export async function putSecrets(
  calls: Calls,
  instance: string,
  files: Readonly<Record<string, Buffer>>,
  signal: AbortSignal,
): Promise<void> {
  const options = { call: 'secrets', timeoutMs: calls.timeouts.changeMs, signal };
  const encoded = Object.entries(files).map(([name, content]) => [name, content.toString('base64')]);
  const body = { files: Object.fromEntries(encoded) };
  await calls.run(options, async (_docker, abort) => {
    await calls.transport.json({ method: 'PUT', path: `/gpuaas/v1/secrets/${instance}`, body, signal: abort });
  });
}

/** Safe to repeat. */
export async function ensureInputs(calls: Calls, job: string, volume: string, signal: AbortSignal): Promise<string> {
  const options = { call: 'inputs', timeoutMs: calls.timeouts.changeMs, signal };
  return await calls.run(options, async (_docker, abort) => {
    const call = { method: 'PUT', path: `/gpuaas/v1/jobs/${job}/inputs/${volume}`, signal: abort } as const;
    return ((await calls.transport.json(call)) as { readonly path: string }).path;
  });
}

/** Safe to repeat. */
export async function ensureEgress(
  calls: Calls,
  job: string,
  request: EgressRequest,
  signal: AbortSignal,
): Promise<boolean> {
  const options = { call: 'egress', timeoutMs: calls.timeouts.changeMs, signal };
  return await calls.run(options, async (_docker, abort) => {
    const call = { method: 'PUT', path: `/gpuaas/v1/jobs/${job}/egress`, body: request, signal: abort } as const;
    return ((await calls.transport.json(call)) as { readonly started: boolean }).started;
  });
}

export async function statPath(
  calls: Calls,
  container: string,
  path: string,
  signal: AbortSignal,
): Promise<PathFacts | undefined> {
  const options = { call: 'stat', timeoutMs: calls.timeouts.lookMs, signal, container };
  return await calls.run(options, async (_docker, abort) => {
    const call = {
      method: 'GET',
      path: `/gpuaas/v1/containers/${container}/stat`,
      query: { path },
      signal: abort,
    } as const;
    return ((await calls.transport.json(call)) as PathFacts | null) ?? undefined;
  });
}

/** Safe to repeat. */
export async function removeData(
  calls: Calls,
  instance: string,
  { data }: { data: boolean },
  signal: AbortSignal,
): Promise<DataRemoval> {
  const options = { call: 'data', timeoutMs: calls.timeouts.changeMs, signal };
  return await calls.run(options, async (_docker, abort) => {
    const path = `/gpuaas/v1/workloads/${instance}/data`;
    const call = { method: 'DELETE', path, query: { data: data ? 1 : 0 }, signal: abort } as const;
    return (await calls.transport.json(call)) as DataRemoval;
  });
}

/** Safe to repeat: what one call has no time for is left to the next. */
export async function wipe(calls: Calls, signal: AbortSignal): Promise<DataRemoval> {
  const options = { call: 'wipe', timeoutMs: calls.timeouts.changeMs, signal };
  return await calls.run(options, async (_docker, abort) => {
    const call = { method: 'DELETE', path: '/gpuaas/v1/data', query: {}, signal: abort } as const;
    return (await calls.transport.json(call)) as DataRemoval;
  });
}

/** The caches of jobs. They come to be with the first container that has them. */
import type { CacheSummary, MeasuredDisk } from '../engine.ts';
import { orUndefined } from './call-errors.ts';
import type { Calls } from './calls.ts';

export async function listCaches(
  calls: Calls,
  { measure, signal }: { readonly measure: boolean; readonly signal: AbortSignal },
): Promise<CacheSummary[]> {
  if (measure) return [...(await measureDisk(calls, signal)).caches];
  const timeoutMs = calls.timeouts.lookMs;
  return await calls.run({ call: 'caches', timeoutMs, signal }, async (_docker, abort) => {
    const call = { method: 'GET', path: '/gpuaas/v1/caches', signal: abort } as const;
    return ((await calls.transport.json(call)) as { readonly caches: CacheSummary[] }).caches;
  });
}

export async function measureDisk(calls: Calls, signal: AbortSignal): Promise<MeasuredDisk> {
  const options = { call: 'caches', timeoutMs: calls.timeouts.changeMs, signal };
  return await calls.run(options, async (_docker, abort) => {
    const call = { method: 'GET', path: '/gpuaas/v1/caches', query: { measure: 1 }, signal: abort } as const;
    const { caches, jobs = {} } = (await calls.transport.json(call)) as Partial<MeasuredDisk>;
    return { caches: caches ?? [], jobs };
  });
}

/** False if there was none. */
export async function removeCache(
  calls: Calls,
  volume: string,
  { empty, signal }: { readonly empty: boolean; readonly signal: AbortSignal },
): Promise<boolean> {
  return await calls.run({ call: 'caches', timeoutMs: calls.timeouts.changeMs, signal }, async (_docker, abort) => {
    const query: Record<string, number> = empty ? { empty: 1 } : {};
    const call = { method: 'DELETE', path: `/gpuaas/v1/caches/${volume}`, query, signal: abort } as const;
    return (await orUndefined(calls.transport.json(call).then(() => true))) ?? false;
  });
}

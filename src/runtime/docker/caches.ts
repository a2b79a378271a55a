/** The caches of jobs. They come to be with the first container that has them. */
import type { CacheSummary } from '../engine.ts';
import { orUndefined } from './call-errors.ts';
import type { Calls } from './calls.ts';

export async function listCaches(
  calls: Calls,
  { measure, signal }: { readonly measure: boolean; readonly signal: AbortSignal },
): Promise<CacheSummary[]> {
  const timeoutMs = measure ? calls.timeouts.changeMs : calls.timeouts.lookMs;
  return await calls.run({ call: 'caches', timeoutMs, signal }, async (_docker, abort) => {
    const query: Record<string, number> = measure ? { measure: 1 } : {};
    const call = { method: 'GET', path: '/gpuaas/v1/caches', query, signal: abort } as const;
    return ((await calls.transport.json(call)) as { readonly caches: CacheSummary[] }).caches;
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

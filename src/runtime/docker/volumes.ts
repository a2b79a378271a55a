/** The volumes of jobs. They come to be with the first container that names them. */
import type { VolumeSummary } from '../engine.ts';
import { orUndefined } from './call-errors.ts';
import type { Calls } from './calls.ts';

interface VolumesAnswer {
  readonly Volumes?: readonly { readonly Name: string; readonly Labels?: Readonly<Record<string, string>> | null }[];
}

export async function listVolumes(calls: Calls, signal: AbortSignal): Promise<VolumeSummary[]> {
  const options = { call: 'volume', timeoutMs: calls.timeouts.lookMs, signal };
  return await calls.run(options, async (_docker, abort) => {
    const found = (await calls.transport.json({ method: 'GET', path: '/volumes', signal: abort })) as VolumesAnswer;
    return (found.Volumes ?? []).map(({ Name, Labels }) => ({ name: Name, labels: Labels ?? {} }));
  });
}

/** False if there was none. */
export async function removeVolume(calls: Calls, volume: string, signal: AbortSignal): Promise<boolean> {
  const options = { call: 'volume', timeoutMs: calls.timeouts.changeMs, signal };
  return await calls.run(options, async (_docker, abort) => {
    const call = { method: 'DELETE', path: `/volumes/${volume}`, signal: abort } as const;
    return (await orUndefined(calls.transport.json(call).then(() => true))) ?? false;
  });
}

/**
 * Volumes of jobs: made with the first container that names them, sealed like containers, and like them nobody's business but
 * the platform's. Workloads have folders of their user instead.
 */
import { AgentError } from '../contract/failures.ts';
import { jobKind, labels } from '../contract/names.ts';
import { cachesOf } from '../policy/caches.ts';
import { sendAnswer, sendJson } from './answers.ts';
import { type GateCall, type GateContext, ownDeadlineMs } from './context.ts';
import type { Labels, MountObject, VolumeObject } from './engine-objects.ts';
import { volumeFilters } from './filters.ts';
import { instanceLock } from './locks.ts';
import { engineMessage } from './sealed-containers.ts';
import type { EngineAnswer } from './upstream.ts';
import type { NamedVolume } from './verify-mounts.ts';

export async function listVolumes(call: GateCall, gate: GateContext): Promise<void> {
  const volumes = await ourVolumes(gate, call.signal, call.query['filters']);
  sendJson(call.response, 200, { Volumes: volumes, Warnings: [] });
}

/** The engine refuses one that a container has, whether it runs or not. */
export async function removeVolume(call: GateCall, gate: GateContext): Promise<void> {
  const name = call.params['volume'] ?? '';
  const job = /^gpuaas-([^.]+)\./.exec(name)?.[1] ?? '';
  const answer = await gate.locks.run(instanceLock(job), async () => {
    await requireVolume(name, gate, call.signal);
    return await removeFromEngine(name, gate);
  });
  sendAnswer(call.response, answer);
}

/** All of ours, caches as well; their names. `engine.failed` at the first that the engine keeps. */
export async function removeVolumes(gate: GateContext, signal: AbortSignal): Promise<string[]> {
  const volumes = await ourVolumes(gate, signal);
  for (const { Name } of volumes) {
    const answer = await removeFromEngine(Name, gate);
    if (answer.status !== 204 && answer.status !== 404) throw engineFailure(answer);
  }
  return volumes.map(({ Name }) => Name);
}

/** Ours only, with whatever the client looks for. */
export async function ourVolumes(gate: GateContext, signal: AbortSignal, filters?: string): Promise<VolumeObject[]> {
  const query = { filters: volumeFilters(filters) };
  const answer = await gate.engine.ask({ method: 'GET', path: '/volumes', query, signal });
  if (answer.status !== 200) throw engineFailure(answer);
  const { Volumes } = JSON.parse(answer.body.toString()) as { Volumes?: readonly VolumeObject[] | null };
  return (Volumes ?? []).filter((volume) => gate.seals.holdsForVolume(volume));
}

/** The volumes of a job that a create request names; its caches are there. */
export async function ensureVolumes(
  {
    HostConfig: { Mounts },
    Labels,
  }: { readonly HostConfig: { readonly Mounts: readonly MountObject[] }; readonly Labels: Labels },
  gate: GateContext,
  signal: AbortSignal,
): Promise<void> {
  const caches = (cachesOf(Labels) ?? []).map(({ volume }) => volume);
  const names = new Set(namedVolumes(Mounts).map(({ name }) => name));
  const belongs = [labels.instance, labels.project, labels.allocation].map((label) => [label, Labels[label] ?? '']);
  const owner: Labels = { ...Object.fromEntries(belongs), [labels.kind]: jobKind };
  await Promise.all(
    [...names].filter((name) => !caches.includes(name)).map((name) => ensureVolume(name, owner, gate, signal)),
  );
}

/** Volumes among the mounts of a container. */
export function namedVolumes(mounts: readonly MountObject[]): NamedVolume[] {
  return mounts
    .filter(({ Type }) => Type === 'volume')
    .map(({ Source = '', Target = '', ReadOnly = false }) => ({ name: Source, target: Target, readOnly: ReadOnly }));
}

/** By one call: where one of that name is there, the engine answers with it as it is, and it has to be ours and this owner's. */
export async function ensureVolume(
  name: string,
  wanted: Labels,
  gate: GateContext,
  signal: AbortSignal,
): Promise<void> {
  const body = { Name: name, Driver: 'local', DriverOpts: {}, Labels: gate.seals.sealVolume(name, wanted) };
  const answer = await gate.engine.ask({ method: 'POST', path: '/volumes/create', body, signal });
  if (answer.status !== 201) throw engineFailure(answer);
  const volume = JSON.parse(answer.body.toString()) as VolumeObject;
  const isOurs = volume.Name === name && gate.seals.holdsForVolume(volume);
  if (!isOurs || Object.entries(wanted).some(([label, value]) => volume.Labels?.[label] !== value)) {
    throw new AgentError('name.conflict', { volume: name });
  }
}

async function requireVolume(name: string, gate: GateContext, signal: AbortSignal): Promise<void> {
  const answer = await gate.engine.ask({ method: 'GET', path: `/volumes/${name}`, signal });
  if (answer.status !== 200 && answer.status !== 404) throw engineFailure(answer);
  const volume = answer.status === 200 ? (JSON.parse(answer.body.toString()) as VolumeObject) : undefined;
  if (volume === undefined || !gate.seals.holdsForVolume(volume)) {
    throw new AgentError('container.not_found', { volume: name, reason: `There is no volume ${name}.` });
  }
}

export async function removeFromEngine(name: string, gate: GateContext): Promise<EngineAnswer> {
  const signal = AbortSignal.timeout(ownDeadlineMs);
  return await gate.engine.ask({ method: 'DELETE', path: `/volumes/${name}`, signal });
}

export function engineFailure(answer: EngineAnswer): AgentError {
  return new AgentError('engine.failed', { status: answer.status, reason: engineMessage(answer) });
}

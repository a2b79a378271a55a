/** Images that were built here, for as long as they are kept. */
import { AgentError } from '../contract/failures.ts';
import { pause } from '../kit/backoff.ts';
import { sendJson } from './answers.ts';
import { listContainers, lookAtLayers, type RemovedLayers, removeUnused } from './build-layers.ts';
import type { BuiltImage } from './built-images.ts';
import { type GateCall, type GateContext, ownDeadlineMs } from './context.ts';
import { holdersOf, useOf } from './holders.ts';
import { lookAtImage } from './images.ts';

/** An engine takes a moment to end what nobody waits for any more. */
const mostLooks = 20;
const betweenLooksMs = 500;

/** What was built under a key, as long as the engine has it. */
export async function findBuild(call: GateCall, gate: GateContext): Promise<void> {
  const { instance: project = '', build: key = '' } = call.params;
  const record = gate.builtImages.find({ project, key });
  const object = record && (await lookAtImage(record.image, gate, call.signal));
  if (record && !object) gate.builtImages.forget(record);
  // Another one may have been built meanwhile, or this one be on its way out.
  if (!record || !object || !gate.builtImages.touch(record)) throw new AgentError('image.not_found', { build: key });
  sendJson(call.response, 200, record);
}

/** All that was built here, also what the engine has no more, and how much of what builds have left nothing needs. */
export async function listBuilds(call: GateCall, gate: GateContext): Promise<void> {
  // What is built here is told of also where the engine's list of images takes too long.
  const containers = listContainers({}, gate, call.signal);
  const looked = lookAtLayers(containers, gate, call.signal).catch(() => ({
    own: new Map<string, number>(),
    unused: 0,
  }));
  const holders = holdersOf(await containers, ({ ImageID }) => [ImageID]);
  const { own, unused } = await looked;
  const builds = gate.builtImages
    .all()
    .map(({ project, key, revision, payload, image, bytes, built_at, used_at = built_at }) => ({
      ...{
        project_id: project,
        key,
        revision_sha256: revision,
        ...(payload !== undefined && { payload }),
        image_id: image,
        bytes,
        own_bytes: own.get(image) ?? 0,
        used_at,
        // Nothing of a project may go beside a build of it.
        ...(gate.builds.isBuilding(project) ? { in_use: true } : useOf(image, holders)),
      },
    }));
  sendJson(call.response, 200, { builds, unused_bytes: unused });
}

/** With all layers of its project that nothing stands on any more. What else has the image keeps it: then its record goes alone. */
export async function removeBuild(call: GateCall, gate: GateContext): Promise<void> {
  const { instance: project = '', build: key = '' } = call.params;
  await gate.builds.remove(async (isBuilding) => {
    call.signal.throwIfAborted();
    const record = gate.builtImages.find({ project, key });
    if (!record) throw new AgentError('image.not_found', { build: key });
    if (isBuilding(project)) throw new AgentError('image.in_use', { reason: 'A build of its project may use it.' });
    const signal = AbortSignal.timeout(ownDeadlineMs);
    const { image } = record;
    const assertFree = async () => {
      const all = await listContainers({}, gate, signal);
      if (all.some(({ ImageID }) => ImageID === image)) throw new AgentError('image.in_use', { image });
    };
    await assertFree();
    // Before the image, so that no job is told of one that is on its way out.
    gate.builtImages.forget(record);
    try {
      await removeUnused({ of: (name) => name === project, given: [record] }, gate, signal);
      await assertFree();
    } catch (error) {
      gate.builtImages.note(record);
      throw error;
    }
  });
  sendJson(call.response, 200, {});
}

/** What stands in the way of nothing: layers that no image which is kept is made of, of all projects that nothing is being built for. */
export async function removeLayers(call: GateCall, gate: GateContext): Promise<void> {
  const { until } = call.query;
  const { layers, bytes } = await gate.builds.remove(async (isBuilding) => {
    call.signal.throwIfAborted();
    const unused = {
      of: (project: string) => !isBuilding(project),
      until: until === undefined ? until : Number(until),
    };
    return await removeUnused(unused, gate, AbortSignal.timeout(ownDeadlineMs));
  });
  sendJson(call.response, 200, { layers, bytes });
}

/**
 * Ids of images that are gone, and of those that somebody else has given a name or made a container of: their records stay, so that the
 * next wipe tells them again. Waits for builds that were given up, until their engine has ended them.
 */
export async function wipeBuilds(gate: GateContext, signal: AbortSignal) {
  return await gate.builds.remove(async (isBuilding) => {
    await gate.builds.givenUp(signal);
    if (isBuilding()) throw new AgentError('image.in_use', { reason: 'An image is being built.' });
    const built = gate.builtImages.all();
    const { held } = await removeAll(built, gate, signal);
    const [removed, kept]: [string[], string[]] = [[], []];
    for (const image of new Set([...built.map((record) => record.image), ...held])) {
      ((await lookAtImage(image, gate, signal)) ? kept : removed).push(image);
    }
    for (const record of built) if (removed.includes(record.image)) gate.builtImages.forget(record);
    return { removed, kept };
  });
}

/** A build of an earlier gate may be ending as well. */
async function removeAll(given: readonly BuiltImage[], gate: GateContext, signal: AbortSignal): Promise<RemovedLayers> {
  for (let attempt = 1; ; attempt += 1) {
    const removed = await removeUnused({ of: () => true, given }, gate, signal);
    if (removed.held.length === 0 || attempt === mostLooks) return removed;
    await pause(betweenLooksMs, signal);
  }
}

/** The container engine behind the gate, as the Docker Engine API knows it. Opening it touches nothing yet. */
import type { ContainerEngine } from '../engine.ts';
import { getArchive, putArchive } from './archives.ts';
import { build, builds, builtImage, removeBuilt, removeLayers } from './build.ts';
import { listCaches, measureDisk, removeCache } from './caches.ts';
import { Calls, type EngineTimeouts } from './calls.ts';
import {
  createContainer,
  inspectContainer,
  listContainers,
  removeContainer,
  startContainer,
  stopContainer,
  waitForContainer,
} from './containers.ts';
import { readEvents } from './events.ts';
import { runExec } from './exec.ts';
import { readFacts } from './facts.ts';
import { ensureEgress, ensureInputs, putSecrets, removeData, statPath, wipe } from './gate-routes.ts';
import { inspectImage } from './images.ts';
import { importedImage, importImage } from './import.ts';
import { readLogs } from './logs.ts';
import { ensureNetwork, listNetworks, removeNetwork } from './networks.ts';
import { Puller, type PullSettings, usualPullSettings } from './pull.ts';
import { readStats } from './stats.ts';
import { listVolumes, removeVolume } from './volumes.ts';

export interface DockerEngineOptions {
  /** The gate's socket. */
  readonly socketPath: string;
  readonly timeouts?: Partial<EngineTimeouts> | undefined;
  readonly pulls?: Partial<PullSettings> | undefined;
}

export function openDockerEngine({ socketPath, timeouts = {}, pulls = {} }: DockerEngineOptions): ContainerEngine {
  const calls = new Calls(socketPath, timeouts);
  const puller = new Puller(calls, { ...usualPullSettings, ...pulls });

  return {
    facts: (signal) => readFacts(calls, signal),
    pull: (image, options) => puller.pull(image, options),
    image: (reference, signal) => inspectImage(calls, reference, signal),
    builtImage: (request, signal) => builtImage(calls, request, signal),
    importedImage: (request, signal) => importedImage(calls, request, signal),
    importImage: (request, tar, options) => importImage(calls, request, tar, options),
    builds: (signal) => builds(calls, signal),
    removeBuilt: (built, signal) => removeBuilt(calls, built, signal),
    removeLayers: (options) => removeLayers(calls, options),
    build: (request, context, options) => build(calls, request, context, options),

    list: (signal) => listContainers(calls, signal),
    inspect: (name, signal) => inspectContainer(calls, name, signal),
    create: (name, request, signal) => createContainer(calls, name, request, signal),
    start: (name, signal) => startContainer(calls, name, signal),
    stop: (name, graceSeconds, signal) => stopContainer(calls, name, graceSeconds, signal),
    remove: (name, signal) => removeContainer(calls, name, signal),
    wait: (name, signal) => waitForContainer(calls, name, signal),

    exec: (name, argv, options) => runExec(calls, name, argv, options),
    logs: (name, options) => readLogs(calls, name, options),
    stats: (name, signal) => readStats(calls, name, signal),
    events: (options) => readEvents(calls, options),

    ensureNetwork: (name, labels, signal) => ensureNetwork(calls, name, labels, signal),
    removeNetwork: (name, signal) => removeNetwork(calls, name, signal),
    networks: (signal) => listNetworks(calls, signal),

    putArchive: (name, path, tar, signal) => putArchive(calls, { container: name, path }, tar, signal),
    getArchive: (name, path, signal) => getArchive(calls, { container: name, path }, signal),
    statPath: (name, path, signal) => statPath(calls, name, path, signal),
    volumes: (signal) => listVolumes(calls, signal),
    removeVolume: (name, signal) => removeVolume(calls, name, signal),
    caches: (options) => listCaches(calls, options),
    measureDisk: (signal) => measureDisk(calls, signal),
    removeCache: (volume, options) => removeCache(calls, volume, options),
    ensureEgress: (job, request, signal) => ensureEgress(calls, job, request, signal),
    ensureInputs: (job, volume, signal) => ensureInputs(calls, job, volume, signal),

    putSecrets: (instance, files, signal) => putSecrets(calls, instance, files, signal),
    removeData: (instance, what, signal) => removeData(calls, instance, what, signal),
    wipe: (signal) => wipe(calls, signal),
    close: () => calls.transport.closeIdle(),
  };
}

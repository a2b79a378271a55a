/**
 * Everything the gate lets through, one line each. What is not in this table is refused, and the engine never hears of
 * it.
 *
 * `body`: `none` refuses one; `ignored` reads a small one and drops it (engine clients send their options in it as
 * well); a number is the largest JSON body in bytes that the handler gets; `stream` leaves it to the handler, however long it is.
 */
import { getArchive, putArchive } from './archives.ts';
import { buildImage } from './build-image.ts';
import { listCaches, removeCache } from './caches.ts';
import { inspectContainer, listContainers, passThrough, removeContainer } from './containers.ts';
import type { Handler, UpgradeHandler } from './context.ts';
import { createContainer } from './create-container.ts';
import { ensureEgress } from './egress.ts';
import { info, ping, version } from './engine-facts.ts';
import { streamEvents } from './events.ts';
import { createExec, inspectExec, startExec, startExecUpgraded } from './execs.ts';
import { inspectImage, pullImage } from './images.ts';
import { importImage } from './import-image.ts';
import { ensureInputs } from './job-inputs.ts';
import { findBuild, listBuilds, removeBuild, removeLayers } from './kept-builds.ts';
import { createNetwork, inspectNetwork, listNetworks, removeNetwork } from './networks.ts';
import { queryShapes, type RoutePattern } from './routing.ts';
import { putSecrets } from './secrets.ts';
import { startContainer } from './start-container.ts';
import { statPath } from './stat-path.ts';
import { listVolumes, removeVolume } from './volumes.ts';
import { removeData, wipeData } from './workload-data.ts';

export interface Route extends RoutePattern {
  readonly body: 'none' | 'ignored' | 'stream' | number;
  readonly handle: Handler;
  /** True if the answer may go on as long as the client likes. */
  readonly isStream?: boolean;
  /** For the one route that may switch protocols. */
  readonly upgrade?: UpgradeHandler;
}

const KiB = 1024;
const MiB = 1024 * KiB;
const { flag, seconds, time, unixTime, lines, text, containerName, networkName, identifier, sha256, payloadHash } =
  queryShapes;
const signal = /^(?:SIG)?(?:TERM|INT|QUIT|HUP|USR1|USR2|KILL)$/;
const condition = /^(?:not-running|next-exit|removed)$/;
const logQuery = { stdout: flag, stderr: flag, since: time, until: time, timestamps: flag, tail: lines, follow: flag };

// biome-ignore format: a table is read by its columns
export const routes: readonly Route[] = [
  { method: 'GET', path: '/_ping', query: {}, body: 'none', handle: ping },
  { method: 'HEAD', path: '/_ping', query: {}, body: 'none', handle: ping },
  { method: 'GET', path: '/version', query: {}, body: 'none', handle: version },
  { method: 'GET', path: '/info', query: {}, body: 'none', handle: info },
  { method: 'GET', path: '/events', query: { since: time, until: time, filters: text }, body: 'none', handle: streamEvents, isStream: true },

  { method: 'POST', path: '/images/create', query: { fromImage: text, tag: text }, body: 'ignored', handle: pullImage },
  { method: 'GET', path: '/images/{image}/json', query: {}, body: 'none', handle: inspectImage },

  { method: 'POST', path: '/build', query: { project: identifier, key: sha256, revision: sha256, network: networkName }, body: 'stream', handle: buildImage, isStream: true },
  { method: 'POST', path: '/gpuaas/v1/projects/{instance}/imports', query: { payload: payloadHash }, body: 'stream', handle: importImage, isStream: true },
  { method: 'GET', path: '/gpuaas/v1/projects/{instance}/builds/{build}', query: {}, body: 'none', handle: findBuild },
  { method: 'DELETE', path: '/gpuaas/v1/projects/{instance}/builds/{build}', query: {}, body: 'none', handle: removeBuild },
  { method: 'GET', path: '/gpuaas/v1/builds', query: {}, body: 'none', handle: listBuilds },
  { method: 'DELETE', path: '/gpuaas/v1/builds/layers', query: { until: unixTime }, body: 'none', handle: removeLayers },

  { method: 'GET', path: '/containers/json', query: { all: flag, filters: text }, body: 'none', handle: listContainers },
  { method: 'POST', path: '/containers/create', query: { name: containerName }, body: 4 * MiB, handle: createContainer },
  { method: 'GET', path: '/containers/{container}/json', query: {}, body: 'none', handle: inspectContainer },
  { method: 'GET', path: '/containers/{container}/logs', query: logQuery, body: 'none', handle: passThrough('GET', 'logs'), isStream: true },
  { method: 'GET', path: '/containers/{container}/stats', query: { stream: flag, 'one-shot': flag }, body: 'none', handle: passThrough('GET', 'stats'), isStream: true },
  { method: 'POST', path: '/containers/{container}/start', query: {}, body: 'ignored', handle: startContainer },
  { method: 'POST', path: '/containers/{container}/stop', query: { t: seconds }, body: 'ignored', handle: passThrough('POST', 'stop') },
  { method: 'POST', path: '/containers/{container}/kill', query: { signal }, body: 'ignored', handle: passThrough('POST', 'kill') },
  { method: 'POST', path: '/containers/{container}/wait', query: { condition }, body: 'ignored', handle: passThrough('POST', 'wait'), isStream: true },
  { method: 'PUT', path: '/containers/{container}/archive', query: { path: text }, body: 'stream', handle: putArchive, isStream: true },
  { method: 'GET', path: '/containers/{container}/archive', query: { path: text }, body: 'none', handle: getArchive, isStream: true },
  { method: 'DELETE', path: '/containers/{container}', query: { v: flag, force: flag }, body: 'none', handle: removeContainer },

  { method: 'POST', path: '/containers/{container}/exec', query: {}, body: 1 * MiB, handle: createExec },
  { method: 'POST', path: '/exec/{exec}/start', query: {}, body: 4 * KiB, handle: startExec, upgrade: startExecUpgraded, isStream: true },
  { method: 'GET', path: '/exec/{exec}/json', query: {}, body: 'none', handle: inspectExec },

  { method: 'GET', path: '/networks', query: { filters: text }, body: 'none', handle: listNetworks },
  { method: 'POST', path: '/networks/create', query: {}, body: 16 * KiB, handle: createNetwork },
  { method: 'GET', path: '/networks/{network}', query: {}, body: 'none', handle: inspectNetwork },
  { method: 'DELETE', path: '/networks/{network}', query: {}, body: 'none', handle: removeNetwork },

  { method: 'GET', path: '/volumes', query: { filters: text }, body: 'none', handle: listVolumes },
  { method: 'DELETE', path: '/volumes/{volume}', query: {}, body: 'none', handle: removeVolume },

  { method: 'PUT', path: '/gpuaas/v1/secrets/{member}', query: {}, body: 32 * MiB, handle: putSecrets },
  { method: 'PUT', path: '/gpuaas/v1/jobs/{instance}/inputs/{input}', query: {}, body: 'ignored', handle: ensureInputs },
  { method: 'PUT', path: '/gpuaas/v1/jobs/{instance}/egress', query: {}, body: 1 * MiB, handle: ensureEgress },
  { method: 'GET', path: '/gpuaas/v1/containers/{container}/stat', query: { path: text }, body: 'none', handle: statPath },
  { method: 'GET', path: '/gpuaas/v1/caches', query: { measure: flag }, body: 'none', handle: listCaches },
  { method: 'DELETE', path: '/gpuaas/v1/caches/{cache}', query: { empty: flag }, body: 'none', handle: removeCache },
  { method: 'DELETE', path: '/gpuaas/v1/workloads/{instance}/data', query: { data: flag }, body: 'none', handle: removeData },
  { method: 'DELETE', path: '/gpuaas/v1/data', query: {}, body: 'none', handle: wipeData },
];

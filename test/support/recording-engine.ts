/**
 * A container engine in memory that remembers what was asked of it.
 *
 * It behaves as the real one does where handlers can tell: names are taken, a start gives a process id, a stop ends with
 * 143, removing twice says so. `overrides` replace single methods; `defaults` is there for those that only want to add
 * something in front of the usual behaviour.
 */
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { AgentError } from '../../src/contract/failures.ts';
import { labels } from '../../src/contract/names.ts';
import type { ImageFacts } from '../../src/policy/container-request.ts';
import type { AnyContainerRequest } from '../../src/policy/job-request.ts';
import type { ContainerEngine, ContainerFacts, PathFacts } from '../../src/runtime/engine.ts';

export interface RecordingEngine {
  readonly engine: ContainerEngine;
  /** The same engine without the overrides and without recording. */
  readonly defaults: ContainerEngine;
  /** One line per call, in order: the method, then what tells one call from another. */
  readonly calls: string[];
  /** The create requests as they came. */
  readonly requests: AnyContainerRequest[];
  /** Argument vectors of all execs as they came. */
  readonly execs: (readonly string[])[];
  readonly containers: Map<string, ContainerFacts>;
  readonly networks: Set<string>;
  /** Instances that have scratch folders. */
  readonly data: Set<string>;
  /** Secret files of each instance. */
  readonly secrets: Map<string, Readonly<Record<string, Buffer>>>;
  readonly images: Map<string, ImageFacts>;
  /** Volumes of jobs, with the tars that were put into each, in order. */
  readonly volumes: Map<string, Buffer[]>;
  /** Tars that containers give out, by `<container>:<path>`. */
  readonly archives: Map<string, Buffer>;
  /** What is at a path, in any container. */
  readonly paths: Map<string, PathFacts>;
}

const sampleDigest = `sha256:${'d'.repeat(64)}`;

/** What the recording engine holds for a digest reference or an image id. */
export function imageFacts(reference: string): ImageFacts {
  const local = reference.startsWith('sha256:');
  return {
    id: local ? reference : `sha256:${'e'.repeat(64)}`,
    repoDigests: local ? [] : [reference],
    env: ['PATH=/opt/venv/bin:/usr/bin'],
    volumes: [],
    workingDir: '',
    hasHealthcheck: false,
  };
}

/** A running container of ours as an earlier task would have left it. */
export function containerFacts(over: Partial<ContainerFacts> = {}): ContainerFacts {
  return {
    id: 'c0',
    name: 'gpuaas-notebook-1',
    imageId: `sha256:${'e'.repeat(64)}`,
    imageReference: `127.0.0.1:5000/curated/runtime-cpu@${sampleDigest}`,
    labels: {
      ...{ [labels.instance]: 'notebook-1', [labels.project]: 'project-7', [labels.fencing]: '1' },
      ...{ [labels.task]: 'task-0', [labels.endpoints]: '' },
    },
    status: 'running',
    pid: 4242,
    exitCode: null,
    oomKilled: false,
    error: '',
    health: null,
    startedAt: '2026-11-23T10:00:00.000000000Z',
    finishedAt: null,
    restartCount: 0,
    execIds: [],
    cpuCores: 1,
    memoryBytes: 2 ** 30,
    hostPorts: [],
    ...over,
  };
}

export function recordingEngine(overrides: Partial<ContainerEngine> = {}): RecordingEngine {
  const world = {
    calls: [] as string[],
    requests: [] as AnyContainerRequest[],
    execs: [] as (readonly string[])[],
    containers: new Map<string, ContainerFacts>(),
    networks: new Set<string>(),
    data: new Set<string>(),
    secrets: new Map<string, Readonly<Record<string, Buffer>>>(),
    images: new Map<string, ImageFacts>(),
    volumes: new Map<string, Buffer[]>(),
    archives: new Map<string, Buffer>(),
    paths: new Map<string, PathFacts>(),
  };
  const defaults = engineOf(world);
  const chosen = { ...defaults, ...overrides };
  const record = (method: Method) => {
    return (...args: never[]) => {
      const describe = words[method] as ((...args: never[]) => readonly unknown[]) | undefined;
      if (describe) {
        world.calls.push([method, ...describe(...args)].join(' '));
      }
      return (chosen[method] as (...args: never[]) => unknown)(...args);
    };
  };
  const methods = (Object.keys(defaults) as Method[]).map((method) => [method, record(method)]);
  const engine = Object.fromEntries(methods) as ContainerEngine;
  return {
    engine: {
      ...engine,
      create: (name, request, signal) => {
        world.requests.push(request);
        return engine.create(name, request, signal);
      },
      exec: (name, argv, options) => {
        world.execs.push(argv);
        return engine.exec(name, argv, options);
      },
    },
    defaults,
    ...world,
  };
}

type Method = keyof ContainerEngine;

/** What a line of `calls` says behind the name of the method. Methods that are not here are not recorded. */
const words: { readonly [M in Method]?: (...args: Parameters<ContainerEngine[M]>) => readonly unknown[] } = {
  facts: () => [],
  pull: ({ reference }) => [reference],
  image: (reference) => [reference],
  list: () => [],
  inspect: (name) => [name],
  create: (name) => [name],
  start: (name) => [name],
  stop: (name, graceSeconds) => [name, graceSeconds],
  remove: (name) => [name],
  wait: (name) => [name],
  exec: (name, argv, { adopt }) => [name, ...argv, ...(adopt ? ['(adopt)'] : [])],
  stats: (name) => [name],
  ensureNetwork: (name) => [name],
  removeNetwork: (name) => [name],
  networks: () => [],
  putArchive: (name, path) => [name, path],
  getArchive: (name, path) => [name, path],
  statPath: (name, path) => [name, path],
  volumes: () => [],
  removeVolume: (name) => [name],
  ensureEgress: (job) => [job],
  ensureInputs: (job, volume) => [job, volume],
  putSecrets: (instance, files) => [instance, ...Object.keys(files)],
  removeData: (instance, { data }) => [instance, ...(data ? ['(data)'] : [])],
  wipe: () => [],
};

type World = Omit<RecordingEngine, 'engine' | 'defaults'>;

function engineOf(world: World): ContainerEngine {
  const { containers, networks, data, secrets, images, volumes, archives, paths } = world;
  /** Volumes by `<container>:<path>`. */
  const mountedAt = new Map<string, string>();
  const known = (name: string): ContainerFacts => {
    const found = containers.get(name);
    if (!found) {
      throw new AgentError('container.not_found', { container: name });
    }
    return found;
  };

  return {
    facts: async (signal) => {
      signal.throwIfAborted();
      return {
        ...{ version: '20.10.24', apiVersion: '1.41', runtimes: ['runc'], storageDriver: 'overlay2' },
        ...{
          cgroupDriver: 'cgroupfs',
          cgroupVersion: '1',
          rootDir: '/var/lib/docker',
          runtimePrograms: new Map(),
          defaultRuntime: 'runc',
          limits: { memory: true, cpu: true, pids: true },
          liveRestore: false,
          cdiFolders: [],
        },
      };
    },
    pull: async ({ reference }, { signal }) => {
      signal.throwIfAborted();
      const image = images.get(reference) ?? imageFacts(reference);
      images.set(reference, image);
      return image;
    },
    image: async (reference, signal) => {
      signal.throwIfAborted();
      return images.get(reference);
    },
    builtImage: async (_request, signal) => {
      signal.throwIfAborted();
      return undefined;
    },
    importedImage: async (_request, signal) => {
      signal.throwIfAborted();
      return undefined;
    },
    importImage: async () => {
      throw new AgentError('payload.denied');
    },
    builds: async (signal) => {
      signal.throwIfAborted();
      return { images: [], unusedBytes: 0 };
    },
    removeBuilt: async (_built, signal) => {
      signal.throwIfAborted();
      return false;
    },
    removeLayers: async ({ signal }) => {
      signal.throwIfAborted();
      return { layers: 0, bytes: 0 };
    },
    build: async () => {
      throw new AgentError('build.denied');
    },
    list: async (signal) => {
      signal.throwIfAborted();
      return [...containers.values()].map(({ id, name, labels, status, cpuCores, memoryBytes }) => {
        return { id, name, labels, status, cpuCores, memoryBytes };
      });
    },
    inspect: async (name, signal) => {
      signal.throwIfAborted();
      return containers.get(name);
    },
    create: async (name, request, signal) => {
      signal.throwIfAborted();
      if (containers.has(name)) {
        throw new AgentError('name.conflict', { container: name });
      }
      const id = `c${containers.size + 1}`;
      const instance = request.Labels[labels.instance] ?? '';
      const freshData = !data.has(instance);
      data.add(instance);
      containers.set(name, createdFrom(id, name, request));
      for (const mount of request.HostConfig.Mounts) {
        if (mount.Type === 'volume') {
          volumes.set(mount.Source, volumes.get(mount.Source) ?? []);
          mountedAt.set(`${name}:${mount.Target}`, mount.Source);
        }
      }
      return { id, freshData };
    },
    start: async (name, signal) => {
      signal.throwIfAborted();
      const running = { status: 'running', pid: 4242, exitCode: null, startedAt: '2026-11-23T10:00:00.000000000Z' };
      containers.set(name, { ...known(name), ...running });
    },
    stop: async (name, _graceSeconds, signal) => {
      signal.throwIfAborted();
      const ended = { status: 'exited', pid: 0, exitCode: 143, finishedAt: '2026-11-23T11:00:00.000000000Z' };
      containers.set(name, { ...known(name), ...ended });
    },
    remove: async (name, signal) => {
      signal.throwIfAborted();
      return containers.delete(name);
    },
    wait: async (_name, signal) => {
      const { promise, reject } = Promise.withResolvers<number>();
      signal.addEventListener('abort', () => reject(signal.reason), { once: true });
      signal.throwIfAborted();
      return await promise;
    },
    exec: async (_name, _argv, { signal }) => {
      signal.throwIfAborted();
      return { exitCode: 0, tail: '', adopted: false };
    },
    logs: nothing,
    stats: async (_name, signal) => {
      signal.throwIfAborted();
      return {
        ...{ time: '2026-11-23T10:00:00Z', cpuSeconds: 1, memoryBytes: 2 ** 20, memoryLimitBytes: 2 ** 30 },
        ...{ networkReceivedBytes: 0, networkSentBytes: 0, pids: 1 },
      };
    },
    events: nothing,
    ensureNetwork: async (name, _owner, signal) => {
      signal.throwIfAborted();
      networks.add(name);
    },
    networks: async (signal) => {
      signal.throwIfAborted();
      return [...networks].map((name) => ({ name, labels: { [labels.instance]: name.slice('gpuaas-'.length) } }));
    },
    removeNetwork: async (name, signal) => {
      signal.throwIfAborted();
      return networks.delete(name);
    },
    putArchive: async (name, path, tar, signal) => {
      signal.throwIfAborted();
      const volume = volumes.get(mountedAt.get(`${name}:${path}`) ?? '');
      if (known(name).status !== 'created' || volume === undefined) {
        throw new AgentError('policy.refused', { container: name, path });
      }
      volume.push(await buffer(tar));
    },
    getArchive: async (name, path, signal) => {
      signal.throwIfAborted();
      known(name);
      const tar = archives.get(`${name}:${path}`);
      return tar && Readable.from([tar]);
    },
    statPath: async (name, path, signal) => {
      signal.throwIfAborted();
      known(name);
      return paths.get(path);
    },
    volumes: async (signal) => {
      signal.throwIfAborted();
      return [...volumes.keys()].map((name) => ({
        ...{ name, labels: { [labels.instance]: name.slice('gpuaas-'.length).split('.')[0] ?? '' } },
      }));
    },
    removeVolume: async (name, signal) => {
      signal.throwIfAborted();
      return volumes.delete(name);
    },
    caches: async ({ signal }) => {
      signal.throwIfAborted();
      return [];
    },
    measureDisk: async (signal) => {
      signal.throwIfAborted();
      return { caches: [], jobs: {} };
    },
    removeCache: async (volume, { signal }) => {
      signal.throwIfAborted();
      return volumes.delete(volume);
    },
    ensureEgress: async (_job, _request, signal) => {
      signal.throwIfAborted();
      return true;
    },
    ensureInputs: async (job, volume, signal) => {
      signal.throwIfAborted();
      return `/var/lib/gpuaas-inputs/jobs/${job}/${volume}`;
    },
    putSecrets: async (instance, files, signal) => {
      signal.throwIfAborted();
      secrets.set(instance, files);
    },
    removeData: async (instance, what, signal) => {
      signal.throwIfAborted();
      const scratch = `/home/tenant/gpuaas/workloads/${instance}`;
      const removed = [
        ...(secrets.delete(instance) ? [`/run/secrets-of/${instance}`] : []),
        ...(what.data && data.delete(instance) ? [scratch] : []),
      ];
      return { removed, kept: data.has(instance) ? [scratch] : [] };
    },
    wipe: async (signal) => {
      signal.throwIfAborted();
      const removed = [...data].map((instance) => `/home/tenant/gpuaas/workloads/${instance}`);
      data.clear();
      secrets.clear();
      return { removed, kept: [] };
    },
    close: () => undefined,
  };
}

/** A stream that ends at once. */
async function* nothing(): AsyncGenerator<never> {
  yield* [];
}

function createdFrom(id: string, name: string, request: AnyContainerRequest): ContainerFacts {
  const { Labels, HostConfig, Image } = request;
  return containerFacts({
    ...{ id, name, labels: Labels, imageReference: Image, status: 'created', pid: 0, startedAt: null },
    cpuCores: HostConfig.NanoCpus / 1e9,
    memoryBytes: HostConfig.Memory,
    hostPorts: Object.values(HostConfig.PortBindings).flatMap((list) => list.map(({ HostPort }) => Number(HostPort))),
  });
}

/**
 * Names on the host. They are deterministic, so that an agent that lost its memory finds what it made by name, and the
 * same everywhere: tests, operators and tools rely on them.
 */

/**
 * Name of the container of an instance, or of a service of its stack. No identifier holds a dot, so that no two of them
 * give one name.
 */
export function containerName(appInstanceId: string, service?: string): string {
  return `${namePrefix}${memberName(appInstanceId, service)}`;
}

/** An instance, or a service of its stack: what a container is of, and whose secret files are kept together. */
export function memberName(appInstanceId: string, service?: string): string {
  return service === undefined ? appInstanceId : `${appInstanceId}.${service}`;
}

/** The service whose container has that name; undefined for that of an instance. */
export function serviceOfContainer(name: string): string | undefined {
  return name.split('.')[1];
}

/** Name of the compose project of an instance. Compose wants lower case. */
export function composeProject(appInstanceId: string): string {
  return `gpuaas-${appInstanceId}`;
}

/** Name of the network that belongs to one instance alone. */
export function networkName(appInstanceId: string): string {
  return `gpuaas-${appInstanceId}`;
}

/** What the proxy of a job with the network `allow_list` is called in that network, and where a part of the job could be. */
export const egressName = 'egress';

/** Name of the network by which the proxy of a job has a way out. */
export function egressNetworkName(jobId: string): string {
  return `${networkName(jobId)}.${egressName}`;
}

/** Name of the engine volume of a job. */
export function volumeName(jobId: string, volume: string): string {
  return `${namePrefix}${jobId}.${volume}`;
}

/** Every name we give on the engine begins so. The prefix proves nothing: only a valid seal does. */
export const namePrefix = 'gpuaas-';

/** Value of the label `kind` on what belongs to a job. */
export const jobKind = 'job';

/** Labels on everything we make. Images can carry labels too, so none of them but a valid seal proves anything. */
export const labels = {
  instance: 'gpuaas.instance',
  project: 'gpuaas.project',
  allocation: 'gpuaas.allocation',
  task: 'gpuaas.task',
  /** Service of the stack; absent on the container of a single one. */
  service: 'gpuaas.service',
  /** Cards that it holds, by UUID, comma-separated and sorted; absent for none. */
  gpus: 'gpuaas.gpus',
  /** sha256 of the rendered spec: tells whether a launch asks for what already runs. */
  spec: 'gpuaas.spec',
  /** Highest fencing number of the workload when the container was made. */
  fencing: 'gpuaas.fencing',
  /** Declared endpoints as `name:protocol:host_port`, comma-separated: a control or a rebuilt journal reads them here. */
  endpoints: 'gpuaas.endpoints',
  /** Restart policy and most restarts in a row, as `on_failure:3`: an agent whose journal was lost goes by it. */
  restart: 'gpuaas.restart',
  /** Readiness checks as JSON, `unnoted` where they are too long: an agent whose journal was lost asks the same. */
  readiness: 'gpuaas.readiness',
  /** `job` on what belongs to a job; absent on everything else. */
  kind: 'gpuaas.kind',
  /** Names beside its service by which the others of a job reach a container, comma-separated; empty for none. */
  aliases: 'gpuaas.aliases',
  /** Revision of the project whose caches or shared services it has; absent without any. */
  revision: 'gpuaas.revision',
  /** sha256 of what the services are made of that a container of a job shares, or is one of; absent for one that shares none. */
  shared: 'gpuaas.shared',
  /** Services of its own that a job which shares others finds by their names, comma-separated; absent for one that shares none. */
  peers: 'gpuaas.peers',
  /** Caches as `name:class`, with `:seed` behind those that begin with what the image has; comma-separated. */
  caches: 'gpuaas.caches',
  /** Random per create: no two containers ever have the same seal. Set by the gate. */
  generation: 'gpuaas.generation',
  /** HMAC of the gate over name, spec, fencing, generation, ports, mounts, GPUs and limits. Set by the gate. */
  seal: 'gpuaas.seal',
} as const;

/**
 * Labels on every layer that a build makes, and on its containers: what is left of one that came to nothing is found by them. Images
 * made of those layers have them too, and so have their containers. They prove nothing.
 */
export const buildLabels = {
  allocation: 'gpuaas.build.allocation',
  project: 'gpuaas.build.project',
} as const;

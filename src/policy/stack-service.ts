/**
 * A service of a stack seen as a single container, so that one set of rules judges and renders both; and back again: where
 * in the document a refused path of that container is.
 */
import type { ComposeDocument, ComposeService } from '../contract/compose-document.ts';
import { pointerToken } from '../contract/pointer.ts';
import type { PathError } from '../contract/validate.ts';
import type { WorkloadComposeLaunchParams } from '../contract/workload-compose-launch.ts';
import type { Mount, Port, WorkloadOciLaunchParams } from '../contract/workload-oci-launch.ts';

/** Services by name, in the order of the document. */
export function servicesOf({ document }: Pick<WorkloadComposeLaunchParams, 'document'>): [string, ComposeService][] {
  return Object.entries(document.services);
}

/** Endpoints of one service. */
export function portsOf({ ports = [] }: ComposeService): Port[] {
  return ports.map(({ name, target, published, app_protocol }) => ({
    ...{ name, container_port: target, host_port: published, protocol: app_protocol },
  }));
}

/** Cards that one service asks for. */
export function cardsOf({ deploy }: ComposeService): number {
  return deploy?.resources.reservations.devices[0]?.count ?? 0;
}

/** What all services are promised together. */
export function resourcesOf(params: Pick<WorkloadComposeLaunchParams, 'document'>) {
  const services = servicesOf(params).map(([, service]) => service);
  const bytes = services.reduce((sum, { mem_limit }) => sum + mem_limit, 0);
  return { cpu_cores: services.reduce((sum, { cpus }) => sum + cpus, 0), memory_gib: bytes / gib };
}

const gib = 2 ** 30;

export function containerParams(
  params: WorkloadComposeLaunchParams,
  name: string,
  service: ComposeService,
): WorkloadOciLaunchParams {
  const { identity, document, sandbox, restart, log_limits, readiness } = params;
  const { entrypoint, command, environment = {}, shm_size } = service;
  const [sealedEnv, sealedFiles] = [ownOf(params.sealed_env, name), ownOf(params.sealed_files, name)];
  const ports = portsOf(service);
  return {
    ...{ identity, sandbox, restart, log_limits, ports, python_packages: [], env: environment },
    image: { kind: 'registry', reference: service.image, media_type: 'application/vnd.oci.image.manifest.v1+json' },
    ...(entrypoint && { entrypoint }),
    ...(command && { command }),
    ...(sealedEnv && { sealed_env: sealedEnv }),
    ...(sealedFiles && { sealed_files: sealedFiles }),
    resources: {
      ...{ gpu_count: cardsOf(service), cpu_cores: service.cpus, memory_gib: service.mem_limit / gib },
      ...(shm_size !== undefined && { shm_gib: shm_size / gib }),
    },
    mounts: mountsOf(service, document),
    readiness: readiness.filter(({ endpoint }) => ports.some(({ name: port }) => port === endpoint)),
  };
}

/** A volume that is not in the document is refused elsewhere. */
function mountsOf({ volumes = [] }: ComposeService, document: ComposeDocument): Mount[] {
  return volumes.map(({ source, target, read_only }) => ({
    ...{ name: source, path: target, read_only },
    mode: ownOf(document.volumes, source)?.['x-gpuaas'].mode ?? 'scratch',
  }));
}

/** What is written there: a name like `constructor` means something to every object. */
export function ownOf<T>(named: Readonly<Record<string, T>> | undefined, name: string): T | undefined {
  return named && Object.hasOwn(named, name) ? named[name] : undefined;
}

/** Pointer to a service in the params. */
export function pathOf(service: string): string {
  return `/document/services/${service}`;
}

/** What a rule said about `containerParams`, with the paths and words of the document. */
export function inDocument(service: string, { path, code, message }: PathError): PathError {
  return { path: translate(service, path), code, message: translate(service, message) };
}

function translate(service: string, text: string): string {
  const own = pathOf(service);
  return words
    .reduce((translated, [pattern, replacement]) => translated.replace(pattern, replacement), text)
    .replace(
      /(^|\s)\/(volumes|environment|image|shm_size|deploy|command|entrypoint|cpus|mem_limit|ports)\b/g,
      `$1${own}/$2`,
    )
    .replace(/(^|\s)\/sealed_env\//g, `$1/sealed_env/${pointerToken(service)}/`);
}

const words: readonly [RegExp, string][] = [
  [/\/mounts\/(\d+)\/path/g, '/volumes/$1/target'],
  [/\/mounts\/(\d+)\/(name|mode)/g, '/volumes/$1/source'],
  [/\/mounts\/(\d+)/g, '/volumes/$1'],
  [/(^|\s)\/env(\/|$)/g, '$1/environment$2'],
  [/\/image\/reference/g, '/image'],
  [/\/resources\/shm_gib/g, '/shm_size'],
  [/\/resources\/gpu_count/g, '/deploy/resources/reservations/devices/0/count'],
  [/\bmemory_gib\b/g, 'mem_limit'],
  [/`env`/g, '`environment`'],
];

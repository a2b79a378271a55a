/**
 * Adapter `docker_compose`: a stack of services on a host, through typed tasks of its agent.
 *
 * The manifest names one of the platform's renderers and says which service has which endpoints, folders and secrets; the
 * renderer makes the services, and this makes the task around them. Nobody writes Compose files by hand, and nothing in a
 * document is a secret: those go beside it, sealed for the node, to the service that the manifest says and to no other.
 */
import type { StackTopology } from '../../contract/stack-topology.ts';
import type { WorkloadComposeLaunchParams } from '../../contract/workload-compose-launch.ts';
import type { ProfileService } from '../../manifests/gpuaas/profile-execution.ts';
import type { AdapterInput, ExecutionAdapter } from './adapter.ts';
import { renderers } from './renderers/index.ts';
import type { PlacedService } from './renderers/renderer.ts';
import {
  controlSeconds,
  environment,
  graceSeconds,
  launchSeconds,
  logLimits,
  readiness,
  removeSeconds,
  restart,
  secretPaths,
  startTimeout,
} from './workload-params.ts';

export const dockerCompose: ExecutionAdapter = {
  engine: 'docker_compose',
  needs: ['workload.compose_launch', 'workload.compose_control', 'workload.compose_remove'],
  needsCompose: true,
  launch: (input) => ({
    ...{
      type: 'workload.compose_launch',
      params: launchParams(input),
      deadline_seconds: launchSeconds(input.values.parameters),
    },
  }),
  control: (identity, action, parameters) => ({
    type: 'workload.compose_control',
    params: { identity, action, grace_seconds: graceSeconds },
    deadline_seconds: controlSeconds(parameters),
  }),
  remove: (identity, keep_data) => ({
    type: 'workload.compose_remove',
    params: { identity, keep_data, grace_seconds: graceSeconds },
    deadline_seconds: removeSeconds,
  }),
};

function launchParams(input: AdapterInput): WorkloadComposeLaunchParams {
  const { identity, profile, image, values, storage } = input;
  const { compose } = profile.execution;
  if (!compose) throw new Error(`${profile.profile.slug} has no stack`);
  const { topology, renderer: name } = compose;
  const renderer = renderers[name];
  const services = topology.services.map((service) => placed(input, service, renderer.parameters));
  const volumes = storage.map(({ name: folder, mode }) => [folder, { 'x-gpuaas': { mode } }] as const);
  return {
    identity,
    document: {
      services: renderer.render({
        ...{ services, image: image.reference, parameters: values.parameters, resources: values.resources },
        startSeconds: startTimeout(values.parameters),
      }),
      ...(volumes.length > 0 ? { volumes: Object.fromEntries(volumes) } : {}),
    },
    topology: topologyOf(topology),
    ...sealedFor(input, topology.services),
    readiness: readiness(input),
    sandbox: 'runc',
    restart,
    log_limits: logLimits,
  };
}

/** What of a launch is decided for one service. */
function placed(input: AdapterInput, service: ProfileService, known: readonly string[]): PlacedService {
  const { name, mounts = [] } = service;
  const { exposure, secrets } = partOf(input, service);
  return {
    ...{ name, exposure, storage: mounts.flatMap((mount) => input.storage.filter((one) => one.name === mount)) },
    environment: { ...environment(input, known), ...secretPaths(exposure, secrets) },
  };
}

function partOf({ exposure, secrets }: AdapterInput, service: ProfileService) {
  return {
    exposure: exposure.filter(({ endpoint }) => service.endpoints?.includes(endpoint)),
    secrets: secrets.filter(({ name }) => service.secrets?.includes(name)),
  };
}

/** By service; without the services that have none. */
function sealedFor(input: AdapterInput, services: readonly ProfileService[]) {
  const files: [string, Record<string, string>][] = [];
  const variables: [string, Record<string, string>][] = [];
  for (const service of services) {
    const { exposure, secrets } = partOf(input, service);
    const tokens = exposure.flatMap(({ token }) => token ?? []);
    const paths = [...tokens.map(({ path }) => path), ...secrets.map(({ path }) => path)];
    files.push([service.name, pick(input.sealed_files, paths)]);
    const names = tokens.map(({ value_env }) => value_env);
    variables.push([service.name, pick(input.sealed_env, names)]);
  }
  const sealed_files = withoutEmpty(files);
  const sealed_env = withoutEmpty(variables);
  return { ...(sealed_env ? { sealed_env } : {}), ...(sealed_files ? { sealed_files } : {}) };
}

function pick(from: Readonly<Record<string, string>>, names: readonly (string | null)[]): Record<string, string> {
  return Object.fromEntries(Object.entries(from).filter(([name]) => names.includes(name)));
}

function withoutEmpty(entries: readonly [string, Record<string, string>][]) {
  const full = entries.filter(([, values]) => Object.keys(values).length > 0);
  return full.length > 0 ? Object.fromEntries(full) : undefined;
}

/** The manifest's own words; what is secret of it stays here. */
function topologyOf({ description, services }: { description: string; services: ProfileService[] }): StackTopology {
  return {
    description,
    services: services.map(({ name, role, endpoints = [], mounts = [] }) => ({ name, role, endpoints, mounts })),
  };
}

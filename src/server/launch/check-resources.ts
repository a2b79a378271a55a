/** Check 8 of a launch: cards, cores, memory and ports, of the allocation, of its host and beside its neighbours. */
import type { Gpu } from '../../contract/gpus.ts';
import { portParameter } from '../../manifests/gpuaas/check-parameters.ts';
import type { ResourceName, SoundValues } from '../../manifests/gpuaas/resolve-values.ts';
import type { Allocation } from '../db/entities/allocation.ts';
import type { Artifact } from '../db/entities/artifact.ts';
import { fitOf, type HostCards, vendorOf } from './card-fit.ts';
import type { LaunchFacts } from './checks.ts';
import type { LaunchRequest } from './launch-request.ts';
import { notSeen } from './preflight.ts';
import { type LaunchRefusal, refusal } from './refusal.ts';
import { amountWords, excess, misfits, takenPorts } from './resource-fit.ts';

export function checkResources(
  { request, neighbours, capacity, node, host, profile }: LaunchFacts,
  { resources, host_ports: ports, parameters }: SoundValues,
  { shape }: Allocation,
  artifact: Artifact | undefined,
): LaunchRefusal[] {
  const taken = takenPorts(neighbours);
  const { certain: beyondShape, isUnsure } = misfits(resources, shape, neighbours);
  const beyondHost = excess(resources, capacity).filter(({ name }) => !beyondShape.some((each) => each.name === name));
  const isJudged = isUnsure || [...beyondShape, ...beyondHost].some(({ name }) => name === 'gpu_count');
  const vendor = profile && artifact && vendorOf(profile, artifact);
  const fit = host && !isJudged ? fitOf(host, neighbours, vendor, resources.gpu_count ?? 0) : undefined;
  return [
    ...beyondShape.map(({ name, wanted, free, total }) =>
      refusal(
        'launch.resources_exceed_allocation',
        resourcePath(request, name),
        `${amountWords[name]}: ${wanted} asked for, ${free} of ${total} free.`,
      ),
    ),
    ...(isUnsure ? [notSeen(node)] : []),
    ...beyondHost.map(({ name, asked, have }) =>
      refusal(
        'launch.resources_exceed_allocation',
        resourcePath(request, name),
        `${amountWords[name]}: ${asked} asked for, ${have} on its host.`,
      ),
    ),
    ...(fit && (resources.gpu_count ?? 0) > fit.free
      ? [
          refusal(
            'launch.resources_exceed_allocation',
            resourcePath(request, 'gpu_count'),
            `GPUs: ${resources.gpu_count} asked for, ${fit.free} of ${fit.total} on its host can be had. ${fit.reasons.join(' ')}`,
          ),
        ]
      : []),
    ...Object.entries(ports).flatMap(([endpoint, port]) => {
      const holder = taken.get(port);
      const own = portParameter(endpoint);
      const path = `/config/${Object.hasOwn(parameters, own) ? own : 'host_port'}`;
      return holder === undefined
        ? []
        : [refusal('launch.host_port_taken', path, `${port} belongs to ${JSON.stringify(holder)}.`)];
    }),
  ];
}

/** Where the amount that counts stands; an amount that nobody chose would be chosen among the overrides. */
export function resourcePath({ config = {}, resource_overrides = {} }: LaunchRequest, name: ResourceName): string {
  const isInConfig = resource_overrides[name] === undefined && config[name] !== undefined;
  return `/${isInConfig ? 'config' : 'resource_overrides'}/${name}`;
}

/** An image speaks to the cards of one vendor; on others it would start and find none. */
export function checkVendor(
  host: HostCards | undefined,
  vendor: Gpu['vendor'] | undefined,
  gpuCount: number,
): LaunchRefusal[] {
  const there = [...new Set((host?.cards ?? []).map((card) => card.vendor))];
  if (gpuCount === 0 || vendor === undefined || there.length === 0 || there.includes(vendor)) return [];
  return [refusal('launch.image_unfit', '/artifact_id', `It is for cards of ${vendor}; the host has ${there.join()}.`)];
}

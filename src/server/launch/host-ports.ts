/** Ports on the host that a launch could have, so that nobody has to guess one. */
import { portParameter } from '../../manifests/gpuaas/check-parameters.ts';
import type { WorkloadProfile } from '../../manifests/gpuaas/profile.ts';

const lowest = 1024;
const highest = 65_535;

/** By pointer into a launch request, for each endpoint whose port can be chosen: its usual port, or the next that is free. */
export function suggestPorts(profile: WorkloadProfile, taken: ReadonlySet<number>): Record<string, number> {
  const { properties } = profile.parameters.schema;
  const held = new Set(taken);
  const suggested: Record<string, number> = {};
  for (const [index, { name, port }] of (profile.network?.endpoints ?? []).entries()) {
    const own = portParameter(name);
    const parameter = index > 0 || Object.hasOwn(properties, own) ? own : 'host_port';
    const property = properties[parameter];
    if (!property) {
      held.add(port);
      continue;
    }
    const { default: usual = port, minimum = lowest, maximum = highest } = property;
    const free = firstFree(Number(usual), Math.max(lowest, minimum), Math.min(highest, maximum), held);
    if (free === undefined) continue;
    held.add(free);
    suggested[`/config/${parameter}`] = free;
  }
  return suggested;
}

/** From the usual one upwards, then from the lowest; undefined where all are taken. */
function firstFree(usual: number, least: number, most: number, held: ReadonlySet<number>): number | undefined {
  const start = Math.max(least, usual);
  for (let port = start; port <= most; port += 1) if (!held.has(port)) return port;
  for (let port = least; port < start; port += 1) if (!held.has(port)) return port;
  return undefined;
}

/** Platforms of payloads. Hosts are Linux; manifests name architectures by more than one name. */
import type { PlanPayload } from '../../contract/payload-manifest.ts';

const architectures = { x86_64: ['x86_64', 'amd64', 'x64'], aarch64: ['aarch64', 'arm64'] } as const;
export type Architecture = keyof typeof architectures;

/** Undefined for one that no host has. */
export function architectureOf(name: string): Architecture | undefined {
  const known = Object.entries(architectures) as [Architecture, readonly string[]][];
  return known.find(([, names]) => names.includes(name.toLowerCase()))?.[0];
}

/** Architectures of the hosts that can carry it out; undefined where any can. */
export function architecturesFor(payload: readonly PlanPayload[]): readonly Architecture[] | undefined {
  if (payload.some(({ platform }) => !platform)) return undefined;
  const linux = payload.filter(({ platform }) => platform?.os.toLowerCase() === 'linux');
  return [...new Set(linux.flatMap(({ platform }) => architectureOf(platform?.arch ?? '') ?? []))];
}

/** Which image of a computation payload manifest a host takes. */
import { createHash } from 'node:crypto';
import type { PlanPayload } from '../contract/payload-manifest.ts';
import { architectureOf } from './promises/platforms.ts';

/** The first that is for Linux on that processor; one without a platform is for all. `arch`: as any program calls it. */
export function choosePayload(payload: readonly PlanPayload[], arch: string): PlanPayload | undefined {
  const here = architectureOf(arch);
  return payload.find(({ platform }) => {
    if (platform === undefined) return true;
    return here !== undefined && platform.os.toLowerCase() === 'linux' && architectureOf(platform.arch) === here;
  });
}

/** What there is where nothing can be taken, as a clause. */
export function whyNoPayload(payload: readonly PlanPayload[], arch: string): string {
  const there = payload.flatMap(({ platform }) => (platform ? [`${platform.os} on ${platform.arch}`] : []));
  return `is for ${[...new Set(there)].join(', ')}, and this host is linux on ${architectureOf(arch) ?? arch}`;
}

/** What a project's image of that hash is called where it is kept, in hex. Hashes are the same in either case. */
export function payloadKey(hash: string): string {
  return createHash('sha256').update(`payload ${hash.toLowerCase()}`).digest('hex');
}

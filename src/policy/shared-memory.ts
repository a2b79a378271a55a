/** How much of its memory a container shares between its processes. */
import type { PathError } from '../contract/validate.ts';
import type { Resources } from '../contract/workload-oci-launch.ts';

/** GiB of /dev/shm where the task says nothing: the engine's own 64 MiB. */
export const defaultShmGib = 0.0625;

export function checkSharedMemory({ memory_gib, shm_gib = defaultShmGib }: Resources): PathError[] {
  return shm_gib > memory_gib
    ? [{ path: '/resources/shm_gib', code: 'maximum', message: 'must not exceed memory_gib, of which it is a part' }]
    : [];
}

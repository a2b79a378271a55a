import type { JobListed } from '../../../server/jobs/job-view.ts';
import { counted } from '../../lib/format.ts';

/** What every job is given without asking. */
const usualDiskGib = 1;

/** `2 GPUs of 24 GB · 8 cores`; what is left to its host is not named. */
export function needsWords({ gpu_count, gpu_memory_mib, cpu_cores, memory_gib, disk_gib }: JobListed['needs']): string {
  const memory = gpu_memory_mib > 0 ? ` of ${Math.round((gpu_memory_mib * 2 ** 20) / 1e9)} GB` : '';
  const parts = [
    ...(gpu_count > 0 ? [counted(gpu_count, 'GPU') + memory] : []),
    ...(cpu_cores === null ? [] : [counted(cpu_cores, 'core')]),
    ...(memory_gib === null ? [] : [`${memory_gib} GiB`]),
    ...(disk_gib > usualDiskGib ? [`${disk_gib} GiB disk`] : []),
  ];
  return parts.join(' · ') || 'a share of its host';
}

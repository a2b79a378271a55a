import { counted } from '../../lib/format.ts';

interface Amounts {
  readonly gpu_count: number;
  readonly cpu_cores: number;
  readonly memory_gib: number;
}

/** `2 GPUs · 32 cores · 256 GiB`. */
export function shapeWords({ gpu_count, cpu_cores, memory_gib }: Amounts): string {
  return [...(gpu_count > 0 ? [counted(gpu_count, 'GPU')] : []), counted(cpu_cores, 'core'), `${memory_gib} GiB`].join(
    ' · ',
  );
}

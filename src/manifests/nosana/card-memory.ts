/** How much memory each card of a job definition needs at least. */
import type { JobDefinition } from './definition.ts';

/** In MiB, for the op that wants most; 0 where none says so. */
export function cardMemoryMib(definition: JobDefinition): number {
  const ops = definition.ops.flatMap((op) => (op.type === 'container/run' ? [mibOf(op.args.required_vram ?? 0)] : []));
  return Math.max(...metaMib(definition), ...ops);
}

/** Both spellings of the key are in use, and what is one of them is checked. */
function metaMib({ meta = {} }: JobDefinition): number[] {
  const wanted = { ...meta.system_resources, ...meta.system_requirements };
  return [mibOf(Number(wanted['required_vram'] ?? 0)), Math.floor(mibOf(Number(wanted['vram_total_mb'] ?? 0) / 1000))];
}

/** GB as makers of cards count them: one of 24 GB says that it has 24,564 MiB, which is less than 24 GiB. */
function mibOf(gigabytes: number): number {
  return Number.isFinite(gigabytes) ? Math.floor((gigabytes * 1e9) / 2 ** 20) : 0;
}

/** Which boot of the host this is. */
import { readFileSync } from 'node:fs';

/** Changes with every boot. */
export function readBootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
}

import { existsSync, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';

const memory = '/dev/shm';
const tmpfs = 0x01021994;

/**
 * Where unit tests keep their files: in memory where there is room. Most of what they wait for is the disk, for databases that are
 * on it before anything else happens.
 */
export function memoryFolder(): string {
  if (!existsSync(memory)) return tmpdir();
  const { type, bavail, bsize } = statfsSync(memory);
  return type === tmpfs && bavail * bsize > 2 ** 30 ? memory : tmpdir();
}

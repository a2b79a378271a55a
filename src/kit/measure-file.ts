import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';

/** Size in bytes and sha256 in hexadecimal digits of what lies on the disk, without holding it in memory. */
export async function measureFile(file: string): Promise<{ size: number; sha256: string }> {
  const hash = createHash('sha256');
  let size = 0;
  for await (const chunk of createReadStream(file) as AsyncIterable<Buffer>) {
    hash.update(chunk);
    size += chunk.length;
  }
  return { size, sha256: hash.digest('hex') };
}

/** Docker Compose for stacks: unpacked beside the ground, and no plugin of this machine's own client. */
import { join } from 'node:path';
import { mirror, SUITE } from './images/debian.ts';
import { unpackPackage } from './packages.ts';

/** Makes sure that `docker-compose` (v2) is there, and gives the folder that it lies in. */
export async function ensureCompose(): Promise<string> {
  const root = await unpackPackage('docker-compose', async () => ({ mirror: await mirror(), suite: SUITE }));
  return join(root, 'usr/libexec/docker/cli-plugins');
}

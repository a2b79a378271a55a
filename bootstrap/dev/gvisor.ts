/** gVisor for an engine of a test: a runtime that the engine is told of, and not a package on this machine. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { mirror, SUITE } from './images/debian.ts';
import { unpackPackage } from './packages.ts';

/** Name under which an engine started with {@link gvisorFlag} knows the runtime. */
export const GVISOR_RUNTIME = 'runsc';

/**
 * Flag for the engine. The program it names is written into `dir`: it uses the network of its container as it is, since
 * in gVisor's own network stack nothing starts on recent kernels.
 */
export async function gvisorFlag(dir: string): Promise<string> {
  const root = await unpackPackage('runsc', async () => ({ mirror: await mirror(), suite: SUITE }));
  const program = join(dir, GVISOR_RUNTIME);
  await writeFile(program, `#!/bin/sh\nexec ${join(root, 'usr/bin/runsc')} --network=host "$@"\n`, { mode: 0o755 });
  return `--add-runtime=${GVISOR_RUNTIME}=${program}`;
}

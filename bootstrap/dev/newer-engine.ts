/**
 * An engine of a newer generation than this machine's own (Debian 13's 26.1), for a test's own private one: unpacked and not
 * installed. It runs containers with the machine's own runc.
 */
import { join } from 'node:path';
import { mirror, SUITE } from './images/debian.ts';
import { unpackPackage } from './packages.ts';
import { SYSTEM_ENV } from './processes.ts';

/** Environment in which `dockerd` is the newer engine, with all programs that it starts. */
export async function newerEngineEnv(): Promise<NodeJS.ProcessEnv> {
  const release = async () => ({ mirror: await mirror(), suite: SUITE });
  const engine = await unpackPackage('docker.io', release);
  const containerd = await unpackPackage('containerd', release);
  const folders = [join(engine, 'usr/sbin'), join(engine, 'usr/bin'), join(containerd, 'usr/bin')];
  return { ...SYSTEM_ENV, PATH: [...folders, SYSTEM_ENV['PATH']].join(':') };
}

/**
 * A podman service for tests, of this machine's own package. It keeps all its files in one folder and reads no configuration of the
 * machine. It is to make containers and networks and to start none: a start leaves firewall rules on the host.
 */
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { answersPing } from './engine-api.ts';
import { ensurePackages } from './packages.ts';
import { unmountBelow } from './private-engine.ts';
import { SYSTEM_ENV, startDaemon, stopProcess, until } from './processes.ts';

export interface PodmanService {
  readonly socketPath: string;
  /** Ends it, undoes its mounts and deletes its files. */
  stop(): Promise<void>;
}

const START_SECONDS = 60;
/** A service that its test left behind ends by itself. */
const IDLE_SECONDS = 900;

/** Starts a service that keeps everything in `dir` and waits until it answers. From `registry` it pulls without TLS. */
export async function startPodman(dir: string, registry?: string): Promise<PodmanService> {
  await ensurePackages(['podman']);
  const at = (name: string) => join(dir, name);
  await mkdir(at('tmp'), { recursive: true });
  await writeFile(at('containers.conf'), configuration(dir));
  const trust = registry === undefined ? '' : `[[registry]]\nlocation = "${registry}"\ninsecure = true\n`;
  await writeFile(at('registries.conf'), trust);
  const socketPath = at('podman.sock');
  const flags = ['--root', at('root'), '--runroot', at('run'), '--storage-driver', 'vfs'];
  const service = ['system', 'service', `--time=${IDLE_SECONDS}`, `unix://${socketPath}`];
  const files = { CONTAINERS_CONF: at('containers.conf'), CONTAINERS_REGISTRIES_CONF: at('registries.conf') };
  const env = { ...SYSTEM_ENV, ...files, TMPDIR: at('tmp') };
  const process = await startDaemon('podman', [...flags, ...service], at('podman.log'), { env });
  const stop = async () => {
    await stopProcess(process);
    await unmountBelow(dir);
    await rm(dir, { recursive: true, force: true });
  };
  if (await until(() => answersPing(socketPath), START_SECONDS)) return { socketPath, stop };
  await stop();
  throw new Error(`podman did not answer at ${socketPath} within ${START_SECONDS} seconds.`);
}

/** Locks in files: those in shared memory are the machine's. The init program only has to be there. */
function configuration(dir: string): string {
  return `[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
init_path = "/bin/true"
lock_type = "file"
tmp_dir = "${dir}/tmp/libpod"
[network]
network_config_dir = "${dir}/networks"
`;
}

/**
 * Takes away what a job has on the engine: containers, then its network. Goes on after a part failed, so that one stuck part does not keep the
 * rest, and says of each what became of it. Safe to repeat; it never touches what carries our name without a valid seal.
 */
import { labels, networkName } from '../contract/names.ts';
import type { Cleanup } from '../contract/workload-output.ts';
import type { ContainerEngine } from '../runtime/engine.ts';

export async function takeAway(job: string, engine: ContainerEngine, signal: AbortSignal): Promise<Cleanup> {
  const cleanup: Cleanup = { removed: [], kept: [], failed: [] };
  const attempt = async (what: string, work: () => Promise<boolean>) => {
    try {
      if (await work()) cleanup.removed.push(what);
    } catch (error) {
      cleanup.failed.push(`${what}: ${error instanceof Error ? error.message : String(error)}`);
    }
  };

  const containers = (await engine.list(signal)).filter(({ labels: of }) => of[labels.instance] === job);
  await Promise.all(
    containers.map(({ name }) => attempt(`container ${name}`, async () => await engine.remove(name, signal))),
  );
  // A network with a container in it cannot go.
  if (cleanup.failed.length === 0) {
    const network = networkName(job);
    await attempt(`network ${network}`, async () => await engine.removeNetwork(network, signal));
  }
  return cleanup;
}

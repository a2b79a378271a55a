/**
 * Takes away what a job has on the engine: containers, volumes, its network, and its inputs on the host. Goes on after a part
 * failed, so that one stuck part does not keep the rest, and says of each what became of it. Safe to repeat; it never
 * touches what carries our name without a valid seal.
 */
import { labels, networkName } from '../contract/names.ts';
import type { Cleanup } from '../contract/workload-output.ts';
import type { ContainerEngine } from '../runtime/engine.ts';

/** With `keep`, all of it stays but for containers that hold cards. */
export async function takeAway(
  job: string,
  engine: ContainerEngine,
  signal: AbortSignal,
  { keep = false }: { readonly keep?: boolean } = {},
): Promise<Cleanup> {
  const cleanup: Cleanup = { removed: [], kept: [], failed: [] };
  const attempt = async (what: string, work: () => Promise<boolean>) => {
    try {
      if (await work()) cleanup.removed.push(what);
    } catch (error) {
      cleanup.failed.push(`${what}: ${error instanceof Error ? error.message : String(error)}`);
    }
  };
  const isIts = ({ labels: of }: { readonly labels: Readonly<Record<string, string>> }) => of[labels.instance] === job;

  const [containers, volumes] = await Promise.all([engine.list(signal), engine.volumes(signal)]);
  const its = containers.filter(isIts);
  const goes = its.filter(({ labels: of }) => !keep || of[labels.gpus] !== undefined);
  await Promise.all(
    goes.map(({ name }) => attempt(`container ${name}`, async () => await engine.remove(name, signal))),
  );
  const network = networkName(job);
  if (keep) {
    const left = its.filter((each) => !goes.includes(each));
    for (const { name, status } of left) {
      if (status === 'running')
        await attempt(`run of ${name}`, async () => engine.stop(name, 0, signal).then(() => false));
    }
    cleanup.kept.push(
      ...left.map(({ name }) => `container ${name}`),
      ...volumes.filter(isIts).map(({ name }) => `volume ${name}`),
      `network ${network}`,
    );
    return cleanup;
  }
  // A network with a container in it cannot go, and neither can a volume.
  if (cleanup.failed.length > 0) return cleanup;
  await Promise.all([
    attempt(`network ${network}`, async () => await engine.removeNetwork(network, signal)),
    ...volumes
      .filter(isIts)
      .map(({ name }) => attempt(`volume ${name}`, async () => await engine.removeVolume(name, signal))),
    attempt('data', async () => {
      const { removed } = await engine.removeData(job, { data: true }, signal);
      cleanup.removed.push(...removed.map((folder) => `folder ${folder}`));
      return false;
    }),
  ]);
  return cleanup;
}

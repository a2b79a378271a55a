/**
 * Takes away what a job has on the engine: containers, volumes, its network, and its inputs on the host. Goes on after a part
 * failed, so that one stuck part does not keep the rest, and says of each what became of it. Safe to repeat; it never
 * touches what carries our name without a valid seal.
 */
import { labels, networkName } from '../contract/names.ts';
import type { Cleanup } from '../contract/workload-output.ts';
import type { ContainerEngine } from '../runtime/engine.ts';

interface Taking {
  /** All of it stays but for containers that hold cards. */
  readonly keep?: boolean;
}

export async function takeAway(job: string, engine: ContainerEngine, signal: AbortSignal): Promise<Cleanup> {
  const cleanup = await takeContainers(job, engine, signal);
  return await takeOthers(job, engine, signal, { cleanup });
}

/** The first half. What is kept does not run any more. */
export async function takeContainers(
  job: string,
  engine: ContainerEngine,
  signal: AbortSignal,
  { keep = false }: Taking = {},
): Promise<Cleanup> {
  const cleanup: Cleanup = { removed: [], kept: [], failed: [] };
  const its = (await engine.list(signal)).filter(isOf(job));
  const goes = its.filter(({ labels: of }) => !keep || of[labels.gpus] !== undefined);
  await Promise.all(
    goes.map(({ name }) => attempt(cleanup, `container ${name}`, async () => await engine.remove(name, signal))),
  );
  for (const { name, status } of its.filter((each) => !goes.includes(each))) {
    const stop = async () => engine.stop(name, 0, signal).then(() => false);
    if (status === 'running') await attempt(cleanup, `run of ${name}`, stop);
    cleanup.kept.push(`container ${name}`);
  }
  return cleanup;
}

/** The second half; `cleanup` is what became of the first, and of both in the end. */
export async function takeOthers(
  job: string,
  engine: ContainerEngine,
  signal: AbortSignal,
  { keep = false, cleanup }: Taking & { readonly cleanup: Cleanup },
): Promise<Cleanup> {
  // A network with a container in it cannot go, and neither can a volume.
  if (!keep && cleanup.failed.length > 0) return cleanup;
  const volumes = (await engine.volumes(signal)).filter(isOf(job));
  const network = networkName(job);
  if (keep) {
    cleanup.kept.push(...volumes.map(({ name }) => `volume ${name}`), `network ${network}`);
    return cleanup;
  }
  await Promise.all([
    attempt(cleanup, `network ${network}`, async () => await engine.removeNetwork(network, signal)),
    ...volumes.map(({ name }) =>
      attempt(cleanup, `volume ${name}`, async () => await engine.removeVolume(name, signal)),
    ),
    attempt(cleanup, 'data', async () => {
      const { removed } = await engine.removeData(job, { data: true }, signal);
      cleanup.removed.push(...removed.map((folder) => `folder ${folder}`));
      return false;
    }),
  ]);
  return cleanup;
}

function isOf(job: string) {
  return ({ labels: of }: { readonly labels: Readonly<Record<string, string>> }) => of[labels.instance] === job;
}

async function attempt(cleanup: Cleanup, what: string, work: () => Promise<boolean>): Promise<void> {
  try {
    if (await work()) cleanup.removed.push(what);
  } catch (error) {
    cleanup.failed.push(`${what}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/**
 * Takes away what belongs to one instance: containers, network, secret files and, if asked, scratch folders.
 *
 * Goes on after a part failed, so that one stuck part does not keep the rest, and says of each what became of it.
 * Safe to repeat; it never touches what carries our name without a valid seal.
 */
import type { Identity } from '../contract/identifiers.ts';
import { containerName, networkName } from '../contract/names.ts';
import type { Cleanup } from '../contract/workload-output.ts';
import type { ContainerEngine } from '../runtime/engine.ts';

export interface Removal {
  readonly cleanup: Cleanup;
  /** All of them are, so nothing holds their cards any more. */
  readonly containersGone: boolean;
  /** The first error, if any part failed. */
  readonly error: unknown;
}

export interface WhatGoes {
  /** True for scratch folders as well. */
  readonly data: boolean;
  /** By name; the one of a workload that is no stack if absent. */
  readonly containers?: readonly string[];
}

export async function removeWorkload(
  identity: Pick<Identity, 'app_instance_id'>,
  { data, containers = [containerName(identity.app_instance_id)] }: WhatGoes,
  engine: ContainerEngine,
  signal: AbortSignal,
): Promise<Removal> {
  const instance = identity.app_instance_id;
  const cleanup: Cleanup = { removed: [], kept: [], failed: [] };
  let firstError: unknown;

  const attempt = async (what: string, work: () => Promise<string[]>) => {
    try {
      cleanup.removed.push(...(await work()));
    } catch (error) {
      firstError ??= error;
      cleanup.failed.push(`${what}: ${error instanceof Error ? error.message : String(error)}`);
    }
  };

  // The order matters: a network with a container in it cannot go, and a folder may only go when nobody writes there.
  const network = networkName(instance);
  for (const container of containers) {
    await attempt(`container ${container}`, async () =>
      (await engine.remove(container, signal)) ? [`container ${container}`] : [],
    );
  }
  const containersGone = cleanup.failed.length === 0;
  if (containersGone) {
    await attempt(`network ${network}`, async () =>
      (await engine.removeNetwork(network, signal)) ? [`network ${network}`] : [],
    );
    await attempt(`data of ${instance}`, async () => {
      const { removed, kept } = await engine.removeData(instance, { data }, signal);
      cleanup.kept.push(...kept.map((folder) => `folder ${folder}`));
      return removed.map((folder) => `folder ${folder}`);
    });
  }
  return { cleanup, containersGone, error: firstError };
}

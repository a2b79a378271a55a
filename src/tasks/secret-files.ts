/** Opens the sealed files of a workload and writes them where its container finds them: in memory, on this host only. */
import type { WorkloadOciLaunchParams } from '../contract/workload-oci-launch.ts';
import type { ContainerEngine } from '../runtime/engine.ts';

export interface SecretMeans {
  readonly engine: Pick<ContainerEngine, 'putSecrets'>;
  /** Opens a compact JWE; `secret.unavailable` where it cannot. */
  readonly unseal: (jwe: string) => Promise<Buffer>;
}

/** Needed before each start, also of a container that was there: memory is empty after a boot of the host. */
export async function deliverSecretFiles(
  params: Pick<WorkloadOciLaunchParams, 'identity' | 'sealed_files'>,
  { engine, unseal }: SecretMeans,
): Promise<void> {
  const sealed = Object.entries(params.sealed_files ?? {});
  if (sealed.length === 0) {
    return;
  }
  const opened = await Promise.all(sealed.map(async ([path, jwe]) => [fileName(path), await unseal(jwe)] as const));
  // To its end, also after a cancel: what is given up half-way can appear on the host when the clean-up is over.
  await engine.putSecrets(params.identity.app_instance_id, Object.fromEntries(opened), new AbortController().signal);
}

function fileName(path: string): string {
  return path.slice('/run/secrets/'.length);
}

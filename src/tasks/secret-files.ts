/** Opens the sealed files of a workload and writes them where its container finds them: in memory, on this host only. */
import type { WorkloadOciLaunchParams } from '../contract/workload-oci-launch.ts';
import { toItsEnd } from '../kit/to-its-end.ts';
import type { ContainerEngine } from '../runtime/engine.ts';

export interface SecretMeans {
  readonly engine: Pick<ContainerEngine, 'putSecrets'>;
  /** Opens a compact JWE; `secret.unavailable` where it cannot. */
  readonly unseal: (jwe: string) => Promise<Buffer>;
}

/** Content by file name. Held no longer than it takes to write it. */
export type SecretFiles = Readonly<Record<string, Buffer>>;

export async function openSecretFiles(
  { sealed_files = {} }: Pick<WorkloadOciLaunchParams, 'sealed_files'>,
  { unseal }: Pick<SecretMeans, 'unseal'>,
): Promise<SecretFiles> {
  const opened = Object.entries(sealed_files).map(async ([path, jwe]) => [fileName(path), await unseal(jwe)] as const);
  return Object.fromEntries(await Promise.all(opened));
}

/** The sealed variables, by name. */
export async function openSecretEnv(
  { sealed_env = {} }: Pick<WorkloadOciLaunchParams, 'sealed_env'>,
  { unseal }: Pick<SecretMeans, 'unseal'>,
): Promise<Record<string, string>> {
  const opened = Object.entries(sealed_env).map(
    async ([name, jwe]) => [name, (await unseal(jwe)).toString('utf8')] as const,
  );
  return Object.fromEntries(await Promise.all(opened));
}

/**
 * Needed before each start, also of a container that was there: memory is empty after a boot of the host. `owner`: the
 * instance, or `<instance>.<service>`.
 */
export async function writeSecretFiles(
  owner: string,
  files: SecretFiles,
  engine: SecretMeans['engine'],
): Promise<void> {
  if (Object.keys(files).length > 0) {
    await engine.putSecrets(owner, files, toItsEnd());
  }
}

function fileName(path: string): string {
  return path.slice('/run/secrets/'.length);
}

/** The sealed values of a stack, opened by service: variables for Compose's environment, files for each service's folder. */

import { memberName } from '../contract/names.ts';
import type { WorkloadComposeLaunchParams } from '../contract/workload-compose-launch.ts';
import {
  openSecretEnv,
  openSecretFiles,
  type SecretFiles,
  type SecretMeans,
  writeSecretFiles,
} from './secret-files.ts';
import type { StackEnv } from './stack-services.ts';

/** Content by file name, by service. */
export type StackFiles = ReadonlyMap<string, SecretFiles>;

export async function openStackEnv(
  { sealed_env = {} }: Pick<WorkloadComposeLaunchParams, 'sealed_env'>,
  means: Pick<SecretMeans, 'unseal'>,
): Promise<StackEnv> {
  const opened = Object.entries(sealed_env).map(async ([service, sealed]) => {
    return [service, await openSecretEnv({ sealed_env: sealed }, means)] as const;
  });
  return new Map(await Promise.all(opened));
}

export async function openStackFiles(
  { sealed_files = {} }: Pick<WorkloadComposeLaunchParams, 'sealed_files'>,
  means: Pick<SecretMeans, 'unseal'>,
): Promise<StackFiles> {
  const opened = Object.entries(sealed_files).map(async ([service, sealed]) => {
    return [service, await openSecretFiles({ sealed_files: sealed }, means)] as const;
  });
  return new Map(await Promise.all(opened));
}

/** Needed before each start. */
export async function writeStackFiles(
  instance: string,
  files: StackFiles,
  engine: SecretMeans['engine'],
): Promise<void> {
  await Promise.all(
    [...files].map(([service, content]) => writeSecretFiles(memberName(instance, service), content, engine)),
  );
}

/**
 * What the platform can hand to a workload beside the secrets of its app: a credential of the project, and a token of a
 * service account. A profile asks for each by the component of its wizard; services of a stack take them by these names.
 */
import type { WorkloadProfile } from './profile.ts';
import type { PlatformComponent } from './profile-ui.ts';

interface PlatformSecret {
  readonly component: PlatformComponent;
  /** File in the container. With a dot, which the names of other secrets have not. */
  readonly path: string;
  /** Variable that names the file. */
  readonly env: string;
}

export const platformSecrets = {
  access_credential: {
    component: 'platform.access_credential',
    path: '/run/secrets/gpuaas.access-credential',
    env: 'GPUAAS_ACCESS_CREDENTIAL_FILE',
  },
  service_account_token: {
    component: 'platform.operator_service_account',
    path: '/run/secrets/gpuaas.service-account-token',
    env: 'GPUAAS_SERVICE_ACCOUNT_TOKEN_FILE',
  },
} as const satisfies Readonly<Record<string, PlatformSecret>>;

export type PlatformSecretName = keyof typeof platformSecrets;
export const platformSecretNames = Object.keys(platformSecrets) as PlatformSecretName[];

/** Variable with the address of the control plane, for workloads that have a token for it. */
export const controlPlaneVariable = 'GPUAAS_URL';

export function isPlatformSecret(name: string): name is PlatformSecretName {
  return Object.hasOwn(platformSecrets, name);
}

/** Whether a launch of the profile takes one, and has to; undefined where it takes none. */
export function asksFor(
  { parameters }: WorkloadProfile,
  name: PlatformSecretName,
): 'required' | 'optional' | undefined {
  const components = parameters.ui?.launch_wizard?.steps.flatMap((step) => step.components) ?? [];
  const found = components.find(({ kind }) => kind === platformSecrets[name].component);
  return found && ((found.required ?? true) ? 'required' : 'optional');
}

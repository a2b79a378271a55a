/**
 * Secrets of a launch: those that it brings, and what it takes of its project. They belong to the values: only what the
 * profile asks for is taken. What is wrong with a secret is never said with it.
 */
import type { FailureCode } from '../../contract/failures.ts';
import { asksFor, type PlatformSecretName } from '../../manifests/gpuaas/platform-secrets.ts';
import type { WorkloadProfile } from '../../manifests/gpuaas/profile.ts';
import type { LaunchFacts } from './checks.ts';
import { type LaunchRefusal, refusal } from './refusal.ts';

export function checkSecrets(facts: LaunchFacts, profile: WorkloadProfile): LaunchRefusal[] {
  const { request, credentials, serviceAccount } = facts;
  const { access_credential_id: credentialId, service_account_id: accountId } = request;
  const isKept = credentials.some(({ id }) => id === credentialId);
  return [
    ...checkBrought(facts, profile),
    ...checkTaken(profile, 'access_credential', '/access_credential_id', credentialId, isKept, {
      required: 'launch.credential_required',
      missing: 'launch.credential_not_found',
    }),
    ...checkTaken(profile, 'service_account_token', '/service_account_id', accountId, serviceAccount !== undefined, {
      required: 'launch.service_account_required',
      missing: 'launch.service_account_not_found',
    }),
  ];
}

function checkBrought({ request, credentials }: LaunchFacts, { parameters }: WorkloadProfile): LaunchRefusal[] {
  return Object.entries(request.secrets ?? {}).flatMap(([name, secret]) => {
    const path = `/secrets/${name}`;
    if (!parameters.secrets?.some((each) => each.name === name)) {
      return [refusal('launch.values_invalid', path, 'It is not a secret of this app.')];
    }
    if (typeof secret === 'string') return [];
    const credential = credentials.find(({ id }) => id === secret.credential_id);
    if (!credential) return [refusal('launch.credential_not_found', `${path}/credential_id`)];
    return credential.kind === 'token'
      ? []
      : [refusal('launch.values_invalid', `${path}/credential_id`, `It takes a token; that is a ${credential.kind}.`)];
  });
}

/** What a component of the wizard asks for: needed, allowed, or not taken at all. */
function checkTaken(
  profile: WorkloadProfile,
  name: PlatformSecretName,
  path: string,
  id: string | undefined,
  isThere: boolean,
  codes: { readonly required: FailureCode; readonly missing: FailureCode },
): LaunchRefusal[] {
  const asked = asksFor(profile, name);
  if (id === undefined) return asked === 'required' ? [refusal(codes.required, path)] : [];
  if (asked === undefined) return [refusal('launch.values_invalid', path, 'This app asks for none.')];
  return isThere ? [] : [refusal(codes.missing, path)];
}

/**
 * The secrets of a launch, sealed for the one node that will hand them to the workload.
 *
 * Tokens of endpoints are made here, one per instance and endpoint, and shown to the owner in the answer to the launch.
 * Secrets that people bring are sealed as they come. The control plane keeps the sealed forms only, which it cannot open.
 */
import { randomBytes } from 'node:crypto';
import { CompactEncrypt, importJWK } from 'jose';
import type { WrappingPublicKey } from '../../contract/enrolment.ts';
import { authOf, bearerPath } from '../../manifests/gpuaas/endpoint-auth.ts';
import type { WorkloadProfile } from '../../manifests/gpuaas/profile.ts';
import { secretPath, tokenOf } from './adapter-input.ts';

export interface EndpointToken {
  readonly endpoint: string;
  readonly token: string;
  /** Query parameter by which a browser brings it; null where it is brought in another way. */
  readonly url_query: string | null;
  /** Path that asks for it as a bearer token; null where it is brought in another way. */
  readonly bearer_path: string | null;
}

export interface SealedSecrets {
  readonly tokens: readonly EndpointToken[];
  /** By path in the container. */
  readonly sealedFiles: Readonly<Record<string, string>>;
  /** By variable, where an app cannot read a file. */
  readonly sealedEnv: Readonly<Record<string, string>>;
}

/** 192 bits, in letters that need no quoting anywhere. */
const tokenBytes = 24;

/** `brought` are secrets that the profile declares, by name. */
export async function sealSecrets(
  profile: WorkloadProfile,
  brought: Readonly<Record<string, string>>,
  key: WrappingPublicKey,
): Promise<SealedSecrets> {
  const tokens: EndpointToken[] = [];
  const sealedFiles: Record<string, string> = {};
  const sealedEnv: Record<string, string> = {};
  for (const endpoint of profile.network?.endpoints ?? []) {
    const auth = authOf(profile, endpoint);
    const how = tokenOf(endpoint.name, auth);
    if (how === null) continue;
    const token = randomBytes(tokenBytes).toString('hex');
    const { name } = endpoint;
    tokens.push({
      endpoint: name,
      token,
      url_query: auth.url_query ?? null,
      bearer_path: bearerPath(profile, endpoint),
    });
    if (how.path !== null) sealedFiles[how.path] = await seal(token, key);
    if (how.value_env !== null) sealedEnv[how.value_env] = await seal(token, key);
  }
  for (const [name, secret] of Object.entries(brought)) sealedFiles[secretPath(name)] = await seal(secret, key);
  return { tokens, sealedFiles, sealedEnv };
}

async function seal(text: string, key: WrappingPublicKey): Promise<string> {
  return new CompactEncrypt(Buffer.from(text))
    .setProtectedHeader({ alg: 'ECDH-ES', enc: 'A256GCM' })
    .encrypt(await importJWK(key, 'ECDH-ES'));
}

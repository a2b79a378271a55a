/**
 * Tokens of endpoints: made here, one per instance and endpoint, and sealed for the one node that will hand them to the
 * workload as a file in memory. The control plane keeps the sealed form only; the owner sees the token in the answer to
 * the launch and nowhere else.
 */
import { randomBytes } from 'node:crypto';
import { CompactEncrypt, importJWK } from 'jose';
import type { WrappingPublicKey } from '../../contract/enrolment.ts';
import { authOf } from '../../manifests/gpuaas/endpoint-auth.ts';
import type { WorkloadProfile } from '../../manifests/gpuaas/profile.ts';
import { tokenPath } from './adapter-input.ts';

export interface EndpointToken {
  readonly endpoint: string;
  readonly token: string;
  /** Query parameter by which a browser brings it; null where it is brought in another way. */
  readonly url_query: string | null;
}

export interface MadeTokens {
  readonly tokens: readonly EndpointToken[];
  /** By path in the container. */
  readonly sealedFiles: Readonly<Record<string, string>>;
}

/** 192 bits, in letters that need no quoting anywhere. */
const tokenBytes = 24;

export async function makeTokens(profile: WorkloadProfile, key: WrappingPublicKey): Promise<MadeTokens> {
  const tokens: EndpointToken[] = [];
  const sealedFiles: Record<string, string> = {};
  for (const endpoint of profile.network?.endpoints ?? []) {
    const auth = authOf(profile, endpoint);
    if (auth.mode !== 'generated_token') continue;
    const token = randomBytes(tokenBytes).toString('hex');
    tokens.push({ endpoint: endpoint.name, token, url_query: auth.url_query ?? null });
    sealedFiles[tokenPath(endpoint.name)] = await seal(token, key);
  }
  return { tokens, sealedFiles };
}

async function seal(text: string, key: WrappingPublicKey): Promise<string> {
  return new CompactEncrypt(Buffer.from(text))
    .setProtectedHeader({ alg: 'ECDH-ES', enc: 'A256GCM' })
    .encrypt(await importJWK(key, 'ECDH-ES'));
}

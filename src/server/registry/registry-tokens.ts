/**
 * Tokens for a registry with `auth: token`, in the format of the distribution project. The registry believes them by the
 * certificate of our registry key, and they name exactly what their holder may do.
 */
import { randomUUID } from 'node:crypto';
import { type RegistryKey, tokenIssuer } from '../keys/registry-key.ts';

/** Name of the registries that ask us; `auth.token.service` in their configuration. */
export const registryService = 'gpuaas-registry';
/** Tokens of nodes and of the token service never live longer. */
export const longestSeconds = 900;
/** A registry whose clock is a little behind believes a new token all the same. */
const skewSeconds = 30;

export interface Access {
  readonly repository: string;
  readonly actions: readonly ('pull' | 'push')[];
}

export interface RegistryToken {
  readonly token: string;
  readonly issuedAt: Date;
  readonly expiresAt: Date;
}

export async function makeRegistryToken(
  key: RegistryKey,
  subject: string,
  access: readonly Access[],
  /** Milliseconds since 1970. */
  now: number,
  lifeSeconds = longestSeconds,
): Promise<RegistryToken> {
  const seconds = Math.floor(now / 1000);
  const token = await key.sign({
    ...{ iss: tokenIssuer, sub: subject, aud: registryService, jti: randomUUID() },
    ...{ iat: seconds, nbf: seconds - skewSeconds, exp: seconds + lifeSeconds },
    access: access.map(({ repository, actions }) => ({ type: 'repository', name: repository, actions })),
  });
  return { token, issuedAt: new Date(seconds * 1000), expiresAt: new Date((seconds + lifeSeconds) * 1000) };
}

const scopePattern = /^repository:([a-z0-9][a-z0-9._/-]{0,254}):([a-z,*]{1,64})$/;

/** What a client asks the token service for: `repository:NAME:pull,push`. Anything else is not granted, as the format wants. */
export function readScopes(scopes: readonly string[]): Access[] {
  return scopes
    .flatMap((scope) => scope.split(' '))
    .flatMap((scope) => {
      const [, repository, wanted] = scopePattern.exec(scope) ?? [];
      const actions = (wanted ?? '').split(',').filter((action) => action === 'pull' || action === 'push');
      return repository === undefined || actions.length === 0 ? [] : [{ repository, actions }];
    });
}

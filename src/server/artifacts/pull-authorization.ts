/** How the control plane itself reads a registry: by a token of its own making, or with the login it was given. */
import type { ServerContext } from '../context.ts';
import { makeRegistryToken } from '../registry/registry-tokens.ts';
import type { PullAuthorization } from './registry-client.ts';

export function pullAuthorization({ keys, settings, clock }: ServerContext): PullAuthorization {
  return async (where) => {
    const slash = where.indexOf('/');
    const [host, repository] = [where.slice(0, slash), where.slice(slash + 1)];
    if (settings.tokenRegistries.includes(host)) {
      const access = [{ repository, actions: ['pull'] as const }];
      return `Bearer ${(await makeRegistryToken(keys.registry, 'control-plane', access, clock.wallMs())).token}`;
    }
    const login = settings.upstream[host];
    return login && `Basic ${Buffer.from(`${login.username}:${login.password}`).toString('base64')}`;
  };
}

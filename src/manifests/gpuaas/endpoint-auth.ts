/** How an endpoint keeps strangers out: what the manifest says, or what is known of the app. */
import type { EndpointAuth, ProfileEndpoint, WorkloadProfile } from './profile.ts';

/**
 * Apps whose manifests were written before `auth` could be said. Without this, a curated notebook would make a token of
 * its own that the owner could only find in its log.
 */
const known: Readonly<Record<string, EndpointAuth>> = {
  'jupyterlab web': { mode: 'generated_token', token_file_env: 'JUPYTER_TOKEN_FILE', url_query: 'token' },
};

export function authOf({ profile }: WorkloadProfile, { name, auth }: ProfileEndpoint): EndpointAuth {
  return auth ?? known[`${profile.slug} ${name}`] ?? { mode: 'none' };
}

/**
 * Path that asks the endpoint with its token as a bearer: as the profile itself asks whether it is ready, else the root where
 * the app takes a token and no browser can bring it. Null for what is a page.
 */
export function bearerPath(profile: WorkloadProfile, endpoint: ProfileEndpoint): string | null {
  const asked = profile.validation?.readiness?.find(
    ({ endpoint: name, bearer_env }) => name === endpoint.name && bearer_env !== undefined,
  );
  const { token_env, url_query } = authOf(profile, endpoint);
  return asked?.path ?? (token_env !== undefined && url_query === undefined ? '/' : null);
}

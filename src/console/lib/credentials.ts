/**
 * Credentials of endpoints, as the answer to a launch brought them: shown once, kept in the memory of this page and nowhere
 * else, and gone with it.
 */

/** How one endpoint is entered. */
export interface EndpointCredential {
  readonly endpoint: string;
  readonly token: string;
  /** Query parameter by which a browser brings it; null where it is brought in another way. */
  readonly url_query: string | null;
  /** Path that asks for it as a bearer token; null where it is brought in another way. */
  readonly bearer_path: string | null;
}

const kept = new Map<string, readonly EndpointCredential[]>();

export function keepCredentials(instanceId: string, credentials: readonly EndpointCredential[]): void {
  if (credentials.length > 0) kept.set(instanceId, credentials);
}

/** Undefined where this page did not launch the instance, or was loaded again since. */
export function credentialsOf(instanceId: string): readonly EndpointCredential[] | undefined {
  return kept.get(instanceId);
}

/** To be called when somebody signs out. */
export function forgetCredentials(): void {
  kept.clear();
}

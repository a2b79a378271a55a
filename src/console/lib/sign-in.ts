/** Signing in and out, and finding out whether the session of an earlier visit still holds. */
import { ApiError, api } from './api.ts';
import { emptyCache } from './cache.ts';
import { forgetCredentials } from './credentials.ts';
import { endSession, keepPageHalf, pageHalf, type Session, sessionState } from './session.ts';

const path = '/api/v1/session';

/** Trades a token for a session. The token is sent once and kept nowhere. */
export async function signIn(token: string): Promise<void> {
  const { csrf_token } = await api.post<{ csrf_token: string }>(path, { token });
  emptyCache();
  forgetCredentials();
  keepPageHalf(csrf_token);
  sessionState.set({ kind: 'signed_in', session: await api.get<Session>(path) });
}

/** Ends the session here even where the control plane cannot be told. */
export async function signOut(): Promise<void> {
  await api.del(path).catch((error: unknown) => {
    if (!(error instanceof ApiError)) throw error;
  });
  emptyCache();
  forgetCredentials();
  // Drafts, and the launch that was last tried.
  sessionStorage.clear();
  endSession();
}

/** Asks whose session this is. Throws only what `ApiError` calls `network`, or a failure of the control plane itself. */
export async function resumeSession(): Promise<void> {
  if (pageHalf() === undefined) return endSession();
  try {
    sessionState.set({ kind: 'signed_in', session: await api.get<Session>(path) });
  } catch (error) {
    // `api` has ended a session that is over.
    if (!(error instanceof ApiError) || error.status !== 401) throw error;
  }
}

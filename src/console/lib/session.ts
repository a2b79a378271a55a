/**
 * Who is signed in.
 *
 * The session has two halves, because cookies know no ports: the HttpOnly cookie, which other pages on the same host name
 * would be sent as well, and the page half, which only this origin can read. One without the other opens nothing.
 */
import { type Shared, shared } from './store.ts';

const halfKey = 'gpuaas.page-half';

/** What `/api/v1/session` answers. */
export interface Session {
  readonly token_id: string;
  readonly token_name: string;
  readonly role: 'admin' | 'operator' | 'member' | 'viewer';
  readonly project: { readonly id: string; readonly name: string; readonly display_name: string } | null;
  readonly expires_at: string | null;
  readonly environment: { readonly launch_enabled: boolean; readonly name: string };
}

/** `unknown` until the control plane was asked whether the session of an earlier visit still holds. */
export type SessionState =
  | { readonly kind: 'unknown' }
  | { readonly kind: 'signed_out'; readonly reason?: string }
  | { readonly kind: 'signed_in'; readonly session: Session };

export const sessionState: Shared<SessionState> = shared<SessionState>({ kind: 'unknown' });

/** Read where it is kept each time: another tab may have signed in or out. */
export function pageHalf(): string | undefined {
  return localStorage.getItem(halfKey) ?? undefined;
}

export function keepPageHalf(half: string): void {
  localStorage.setItem(halfKey, half);
}

/** Forgets the page half; the control plane is told by whoever signs out. */
export function endSession(reason?: string): void {
  localStorage.removeItem(halfKey);
  sessionState.set(reason === undefined ? { kind: 'signed_out' } : { kind: 'signed_out', reason });
}

/** Tells when another tab signs in or out. Returns how to stop. */
export function onOtherTab(changed: () => void): () => void {
  const listener = ({ key }: StorageEvent) => {
    if (key === halfKey || key === null) changed();
  };
  addEventListener('storage', listener);
  return () => removeEventListener('storage', listener);
}

/** The signed-in session. Only for what is shown to somebody who is signed in. */
export function theSession(): Session {
  const state = sessionState.get();
  if (state.kind !== 'signed_in') throw new Error('nobody is signed in');
  return state.session;
}

/** Why this role may not do what only the platform's people do; undefined if it may. */
export function whyNotPlatform({ role }: Session): string | undefined {
  return role === 'admin' || role === 'operator' ? undefined : `Only operators can do this; your role is ${role}.`;
}

/** Why this role may not change what is in a project; undefined if it may. */
export function whyNotMember({ role }: Session): string | undefined {
  return role === 'viewer' ? 'Your role is viewer: it can look, and change nothing.' : undefined;
}

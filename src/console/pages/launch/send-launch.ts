/**
 * Sends a launch so that it happens once: every try of the same launch carries the same Idempotency-Key, and an answer that
 * was lost is asked for again until it is there, with the credentials that are shown only once.
 */

import { ApiError } from '../../lib/api.ts';
import { newKey } from '../../lib/new-key.ts';

export interface Sending<T> {
  /** One try. */
  readonly send: (key: string) => Promise<T>;
  /** Between two tries; ends early when it is given up. */
  readonly pause: (milliseconds: number) => Promise<void>;
  /** Nobody knows whether the launch was accepted; it is asked again. */
  readonly lost: (error: ApiError) => void;
  readonly signal: AbortSignal;
}

const firstPauseMs = 500;
const longestPauseMs = 8000;

/** The answer, or the refusal. Once it is given up, the last failure: the launch may have been accepted then. */
export async function sendOnce<T>(key: string, { send, pause, lost, signal }: Sending<T>): Promise<T> {
  for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(pauseMs * 2, longestPauseMs)) {
    try {
      return await send(key);
    } catch (error) {
      if (!(error instanceof ApiError) || !isUndecided(error)) throw error;
      lost(error);
      await pause(pauseMs);
      if (signal.aborted) throw error;
    }
  }
}

/** Nobody was reached, or somebody between us and the control plane has answered for it. */
function isUndecided({ status }: ApiError): boolean {
  return status === 0 || status === 429 || status === 502 || status === 503 || status === 504;
}

export type Kept = Pick<Storage, 'getItem' | 'setItem' | 'removeItem'>;
const keyName = 'gpuaas.launch-key';

/**
 * The key of a launch: the same for the same body, also over a reload of the page. The body is compared without its secrets,
 * which are kept nowhere: another secret under the same key is refused, never launched twice.
 */
export function keyOf(body: object, storage: Kept): string {
  const { secrets: _, ...shown } = body as { readonly secrets?: unknown };
  const text = JSON.stringify(shown);
  const kept = parsed(storage.getItem(keyName));
  if (kept?.text === text) return kept.key;
  const key = newKey();
  storage.setItem(keyName, JSON.stringify({ text, key }));
  return key;
}

/** The launch is decided: the next one, be it the same, is another. */
export function forgetKey(storage: Kept): void {
  storage.removeItem(keyName);
}

function parsed(text: string | null): { readonly text: string; readonly key: string } | undefined {
  try {
    return text === null ? undefined : (JSON.parse(text) as { text: string; key: string });
  } catch {
    return undefined;
  }
}

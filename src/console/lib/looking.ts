/**
 * Looks at something again and again, one look at a time: whoever asks meanwhile is served by one more look after it, and
 * a flood of wishes leads to a few looks only.
 */
import { ApiError } from './api.ts';

export interface Looking {
  now(): void;
  /** After a rest, together with all that is asked for until then. */
  soon(): void;
  stop(): void;
}

/** Between two looks that events lead to. */
const restMs = 300;

/** `look` tells by itself what it has seen, unless the signal is aborted; `failed` is told why it could not be looked. */
export function looking(look: (signal: AbortSignal) => Promise<void>, failed: (error: ApiError) => void): Looking {
  const gone = new AbortController();
  const { signal } = gone;
  let isLooking = false;
  let isWanted = false;
  let timer: ReturnType<typeof setTimeout> | undefined;

  const now = async () => {
    clearTimeout(timer);
    timer = undefined;
    isWanted = isLooking;
    if (isLooking || signal.aborted) return;
    isLooking = true;
    try {
      await look(signal);
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof ApiError)) throw error;
      failed(error);
    } finally {
      isLooking = false;
      if (isWanted) soon();
    }
  };
  const soon = () => {
    if (isLooking) isWanted = true;
    else if (!signal.aborted) timer ??= setTimeout(now, restMs);
  };
  return {
    now: () => void now(),
    soon,
    stop: () => {
      gone.abort();
      clearTimeout(timer);
    },
  };
}

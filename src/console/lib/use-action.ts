/** Something that a person does from a page: at most once at a time, and what went wrong is kept until the next try. */
import { useState } from 'preact/hooks';
import { announce } from '../parts/status-region.tsx';
import { ApiError } from './api.ts';

export interface Action {
  readonly busy: boolean;
  readonly error: ApiError | undefined;
  /** Does it; `done` is what is told when it worked. */
  run(work: () => Promise<unknown>, done?: string): Promise<void>;
  /** Forgets what went wrong. */
  forget(): void;
}

export function useAction(): Action {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<ApiError>();
  const run = async (work: () => Promise<unknown>, done?: string) => {
    if (busy) return;
    setBusy(true);
    setError(undefined);
    try {
      await work();
      if (done !== undefined) announce(done);
    } catch (failure) {
      if (!(failure instanceof ApiError)) throw failure;
      setError(failure);
    } finally {
      setBusy(false);
    }
  };
  return { busy, error, run, forget: () => setError(undefined) };
}

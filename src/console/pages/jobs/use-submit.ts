/** Submits a job once, however often it is pressed, and however often an answer is lost on its way. */
import { useEffect, useRef, useState } from 'preact/hooks';
import { ApiError, api } from '../../lib/api.ts';
import { forgetKey, keyOf, sendOnce } from '../launch/send-launch.ts';
import { pauseFor } from '../launch/use-launch.ts';

export interface Submitting {
  /** `lost` while nobody knows whether it was accepted, and it is asked again. */
  readonly state: 'idle' | 'sending' | 'lost';
  readonly error: ApiError | undefined;
  submit(body: object): void;
  /** Forgets what was refused. */
  forget(): void;
}

/** `done` is called once, with the id of the job. */
export function useSubmit(done: (id: string) => void): Submitting {
  const [state, setState] = useState<Submitting['state']>('idle');
  const [error, setError] = useState<ApiError>();
  const running = useRef<AbortController>(undefined);
  // A document can hold secrets: its key is kept in the memory of the page, and not beside it in the storage of the browser.
  const kept = useRef(inMemory());
  useEffect(() => () => running.current?.abort(), []);

  const submit = async (body: object) => {
    if (running.current) return;
    const abort = new AbortController();
    const { signal } = abort;
    running.current = abort;
    setState('sending');
    setError(undefined);
    try {
      const { id } = await sendOnce(keyOf(body, kept.current), {
        send: (idempotencyKey) => api.post<{ readonly id: string }>('/api/v1/jobs', body, { idempotencyKey }),
        pause: (milliseconds) => pauseFor(milliseconds, signal),
        lost: () => setState('lost'),
        signal,
      });
      forgetKey(kept.current);
      done(id);
    } catch (failure) {
      if (!(failure instanceof ApiError)) throw failure;
      setError(failure);
    } finally {
      running.current = undefined;
      setState('idle');
    }
  };
  return { state, error, submit: (body) => void submit(body), forget: () => setError(undefined) };
}

function inMemory(): Pick<Storage, 'getItem' | 'setItem' | 'removeItem'> {
  const values = new Map<string, string>();
  return {
    getItem: (name) => values.get(name) ?? null,
    setItem: (name, value) => void values.set(name, value),
    removeItem: (name) => void values.delete(name),
  };
}

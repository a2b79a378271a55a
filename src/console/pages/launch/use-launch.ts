/** The launch itself: sent once however often it is pressed, with its credentials handed to the page of the instance. */
import { useEffect, useRef, useState } from 'preact/hooks';
import { ApiError, api } from '../../lib/api.ts';
import { type EndpointCredential, keepCredentials } from '../../lib/credentials.ts';
import { forgetKey, keyOf, sendOnce } from './send-launch.ts';

export interface Launching {
  /** `lost` while nobody knows whether it was accepted, and it is asked again. */
  readonly state: 'idle' | 'sending' | 'lost';
  readonly error: ApiError | undefined;
  launch(body: object): void;
  /** Stops asking again. */
  giveUp(): void;
}

interface Launched {
  readonly id: string;
  readonly credentials: readonly EndpointCredential[];
}

/** `done` is called once, with the id of the instance. */
export function useLaunch(done: (instanceId: string) => void): Launching {
  const [state, setState] = useState<Launching['state']>('idle');
  const [error, setError] = useState<ApiError>();
  const running = useRef<AbortController>(undefined);
  useEffect(() => () => running.current?.abort(), []);

  const launch = async (body: object) => {
    if (running.current) return;
    const abort = new AbortController();
    const { signal } = abort;
    running.current = abort;
    setState('sending');
    setError(undefined);
    try {
      const { id, credentials } = await sendOnce(keyOf(body, sessionStorage), {
        send: (idempotencyKey) => api.post<Launched>('/api/v1/app-instances', body, { idempotencyKey }),
        pause: (milliseconds) => pauseFor(milliseconds, signal),
        lost: () => setState('lost'),
        signal,
      });
      forgetKey(sessionStorage);
      keepCredentials(id, credentials);
      done(id);
    } catch (failure) {
      if (!(failure instanceof ApiError)) throw failure;
      // Under this key something else was launched: the next press is a launch of its own.
      if (failure.code === 'idempotency.conflict') forgetKey(sessionStorage);
      setError(failure);
    } finally {
      running.current = undefined;
      setState('idle');
    }
  };
  return { state, error, launch: (body) => void launch(body), giveUp: () => running.current?.abort() };
}

export function pauseFor(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((done) => {
    const timer = setTimeout(end, milliseconds);
    function end() {
      clearTimeout(timer);
      removeEventListener('online', end);
      signal.removeEventListener('abort', end);
      done();
    }
    addEventListener('online', end);
    signal.addEventListener('abort', end);
  });
}

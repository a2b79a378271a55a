/** What is sent once, however often it is pressed, and however often an answer is lost on its way. */
import { useEffect, useRef, useState } from 'preact/hooks';
import { ApiError } from '../../lib/api.ts';
import { forgetKey, type Kept, keyOf, sendOnce } from './send-launch.ts';

export interface SendingState {
  /** `lost` while nobody knows whether it was accepted, and it is asked again. */
  readonly state: 'idle' | 'sending' | 'lost';
  readonly error: ApiError | undefined;
  send(body: object): void;
  /** Stops asking again. */
  giveUp(): void;
  /** Forgets what was refused. */
  forget(): void;
}

export interface SendingOptions<Answer> {
  readonly post: (body: object, idempotencyKey: string) => Promise<Answer>;
  /** Where the key of what is being sent is kept, beside what it belongs to. */
  readonly kept: Kept;
  /** Called once, with the answer. */
  readonly done: (answer: Answer) => void;
}

export function useSending<Answer>({ post, kept, done }: SendingOptions<Answer>): SendingState {
  const [state, setState] = useState<SendingState['state']>('idle');
  const [error, setError] = useState<ApiError>();
  const running = useRef<AbortController>(undefined);
  useEffect(() => () => running.current?.abort(), []);

  const send = async (body: object) => {
    if (running.current) return;
    const abort = new AbortController();
    const { signal } = abort;
    running.current = abort;
    setState('sending');
    setError(undefined);
    try {
      const answer = await sendOnce(keyOf(body, kept), {
        send: (key) => post(body, key),
        pause: (milliseconds) => pauseFor(milliseconds, signal),
        lost: () => setState('lost'),
        signal,
      });
      forgetKey(kept);
      done(answer);
    } catch (failure) {
      if (!(failure instanceof ApiError)) throw failure;
      // Under this key something else was sent: the next press is one of its own.
      if (failure.code === 'idempotency.conflict') forgetKey(kept);
      setError(failure);
    } finally {
      running.current = undefined;
      setState('idle');
    }
  };
  return {
    ...{ state, error, send: (body) => void send(body) },
    ...{ giveUp: () => running.current?.abort(), forget: () => setError(undefined) },
  };
}

function pauseFor(milliseconds: number, signal: AbortSignal): Promise<void> {
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

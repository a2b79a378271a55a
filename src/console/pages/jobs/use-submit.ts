/** Submits a job. */
import { useRef } from 'preact/hooks';
import { api } from '../../lib/api.ts';
import type { Kept } from '../launch/send-launch.ts';
import { type SendingState, useSending } from '../launch/use-sending.ts';

/** `done` is called once, with the id of the job. */
export function useSubmit(done: (id: string) => void): SendingState {
  // A document can hold secrets: its key is kept in the memory of the page, and not beside it in the storage of the browser.
  const kept = useRef(inMemory());
  return useSending<{ readonly id: string }>({
    post: (body, idempotencyKey) => api.post('/api/v1/jobs', body, { idempotencyKey }),
    kept: kept.current,
    done: ({ id }) => done(id),
  });
}

function inMemory(): Kept {
  const values = new Map<string, string>();
  return {
    getItem: (name) => values.get(name) ?? null,
    setItem: (name, value) => void values.set(name, value),
    removeItem: (name) => void values.delete(name),
  };
}

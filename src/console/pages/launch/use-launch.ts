/** The launch itself, with its credentials handed to the page of the instance. */
import { api } from '../../lib/api.ts';
import { type EndpointCredential, keepCredentials } from '../../lib/credentials.ts';
import { type SendingState, useSending } from './use-sending.ts';

interface Launched {
  readonly id: string;
  readonly credentials: readonly EndpointCredential[];
}

/** `done` is called once, with the id of the instance. */
export function useLaunch(done: (instanceId: string) => void): SendingState {
  return useSending<Launched>({
    post: (body, idempotencyKey) => api.post('/api/v1/app-instances', body, { idempotencyKey }),
    kept: sessionStorage,
    done: ({ id, credentials }) => {
      keepCredentials(id, credentials);
      done(id);
    },
  });
}

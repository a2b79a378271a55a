/**
 * Talks to the control plane that served this page, and to nobody else.
 *
 * Every request carries the cookie and the page half of the session: one without the other opens nothing. An answer that
 * says the session is over ends it for the whole page.
 */
import { endSession, pageHalf } from './session.ts';

/** One of several errors of a refused request. */
export interface ListedError {
  readonly code: string;
  /** JSON pointer into the request; empty for all of it. */
  readonly path: string;
  readonly message: string;
  readonly hint: string;
}

interface Refusal {
  readonly code: string;
  readonly message: string;
  readonly hint: string;
  readonly correlation_id: string;
  readonly errors: readonly ListedError[];
}

/** A request that was refused, or that reached nobody: then `status` is 0 and `code` is `network`. */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  readonly status: number;
  readonly code: string;
  readonly hint: string;
  readonly correlationId: string;
  readonly errors: readonly ListedError[];

  constructor(status: number, { code, message, hint, correlation_id, errors }: Refusal, options?: ErrorOptions) {
    super(message, options);
    this.status = status;
    this.code = code;
    this.hint = hint;
    this.correlationId = correlation_id;
    this.errors = errors;
  }
}

export const api = {
  get: <T>(path: string, signal?: AbortSignal): Promise<T> => send('GET', path, signal ? { signal } : {}),
  post: <T>(path: string, body: unknown = {}, options: { readonly idempotencyKey?: string } = {}): Promise<T> =>
    send('POST', path, { body, ...options }),
  patch: <T>(path: string, body: unknown): Promise<T> => send('PATCH', path, { body }),
  del: <T>(path: string): Promise<T> => send('DELETE', path, {}),
};

interface Sent {
  readonly body?: unknown;
  readonly idempotencyKey?: string;
  readonly signal?: AbortSignal;
}

async function send<T>(method: string, path: string, { body, idempotencyKey, signal }: Sent): Promise<T> {
  const response = await request(path, {
    method,
    headers: {
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...(idempotencyKey === undefined ? {} : { 'idempotency-key': idempotencyKey }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    ...(signal ? { signal } : {}),
  });
  const text = await response.text().catch((cause) => {
    throw unreachable(cause);
  });
  const isJson = response.headers.get('content-type')?.startsWith('application/json') === true;
  return (isJson ? JSON.parse(text) : text) as T;
}

/** A response that is good, or an `ApiError`; an abort stays an abort. */
export async function request(
  path: string,
  init: RequestInit & { headers?: Record<string, string> },
): Promise<Response> {
  const half = pageHalf();
  const headers = { ...init.headers, ...(half === undefined ? {} : { 'x-gpuaas-csrf': half }) };
  let response: Response;
  try {
    response = await fetch(path, { ...init, headers, credentials: 'same-origin', redirect: 'error' });
  } catch (error) {
    if (init.signal?.aborted) throw error;
    throw unreachable(error);
  }
  if (response.ok) return response;
  const refusal = await refusalOf(response);
  if (response.status === 401 && half !== undefined) endSession('Your session has ended. Sign in again.');
  throw new ApiError(response.status, refusal);
}

function unreachable(cause: unknown): ApiError {
  const message = 'The control plane cannot be reached.';
  const hint = 'It is tried again by itself; look at your network if it stays like this.';
  return new ApiError(0, { code: 'network', message, hint, correlation_id: '', errors: [] }, { cause });
}

/** Whatever stands in front of the control plane may answer something else than our envelope. */
async function refusalOf(response: Response): Promise<Refusal> {
  const correlation_id = response.headers.get('x-correlation-id') ?? '';
  const unknown = {
    ...{ code: `http.${response.status}`, message: `The answer was ${response.status} ${response.statusText}`.trim() },
    ...{ hint: 'Try again in a moment.', correlation_id, errors: [] },
  };
  const answer = (await response.json().catch(() => undefined)) as { error?: Partial<Refusal> } | undefined;
  return { ...unknown, ...answer?.error };
}

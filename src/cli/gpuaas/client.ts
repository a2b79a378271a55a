/**
 * The control plane's API as the commands use it: JSON in, JSON out, and whatever goes wrong as one of our failures.
 *
 * A change that was sent is repeated under the same `Idempotency-Key` when its answer is lost, so it is made once.
 */
import { randomUUID } from 'node:crypto';
import { AgentError, type FailureCode, type FailureDetail, failures, type Json } from '../../contract/failures.ts';
import { isCertificateTrouble } from '../../kit/certificate-trouble.ts';
import { type Clock, systemClock } from '../../kit/clock.ts';

export type Query = Readonly<Record<string, string | number | boolean | undefined>>;

export interface ClientOptions {
  /** Origin of the control plane, for example `https://cp.example.com`. */
  readonly url: string;
  readonly token: string;
  /** How often a request whose answer was lost is sent in all; default 4. */
  readonly attempts?: number | undefined;
  /** Waits between two of them. */
  readonly pause?: Clock['pause'] | undefined;
}

export class ControlPlaneClient {
  readonly #origin: URL;
  readonly #token: string;
  readonly #attempts: number;
  readonly #pause: Clock['pause'];

  constructor({ url, token, attempts = 4, pause = systemClock.pause }: ClientOptions) {
    this.#origin = originOf(url);
    this.#token = token;
    this.#attempts = attempts;
    this.#pause = pause;
  }

  async get<T>(path: string, query: Query = {}, signal?: AbortSignal): Promise<T> {
    return (await this.#send('GET', path, { query, signal })) as T;
  }

  /** Makes a change once, however often it had to be sent. */
  async change<T>(method: 'POST' | 'PATCH' | 'DELETE', path: string, body?: Json, signal?: AbortSignal): Promise<T> {
    return (await this.#send(method, path, { body, signal, key: randomUUID() })) as T;
  }

  /** Sends a piece of a file; sent again where its answer is lost, so the other side has to know what it has. */
  async put<T>(path: string, bytes: Uint8Array<ArrayBuffer>, query: Query = {}, signal?: AbortSignal): Promise<T> {
    return (await this.#send('PUT', path, { query, bytes, signal })) as T;
  }

  /** All items of a list, page by page. */
  async *list<T>(path: string, query: Query = {}, signal?: AbortSignal): AsyncGenerator<T> {
    let after: string | null | undefined;
    do {
      const page = await this.get<{ items: T[]; next?: string | null }>(
        path,
        { ...query, ...(after ? { after } : {}) },
        signal,
      );
      yield* page.items;
      after = page.next;
    } while (after);
  }

  /** An answer that comes piece by piece: events or logs. */
  async open(path: string, query: Query, headers: Readonly<Record<string, string>>, signal: AbortSignal) {
    const { body } = await this.answer(path, query, headers, signal);
    if (body === null) throw new AgentError('server.unintelligible', { reason: 'It sends nothing.' });
    return body;
  }

  /** An answer of its own kind, with its status and headers: a file, or a part of one. */
  async answer(path: string, query: Query, headers: Readonly<Record<string, string>>, signal?: AbortSignal) {
    const answer = await this.#request('GET', path, { query, headers, signal });
    if (!answer.ok) throw await failureOf(answer);
    return answer;
  }

  async #send(method: string, path: string, options: Sent): Promise<unknown> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        const answer = await this.#request(method, path, options);
        if (answer.ok) {
          return await answer.json();
        }
        throw await failureOf(answer);
      } catch (error) {
        options.signal?.throwIfAborted();
        if (!isPassing(error) || attempt === this.#attempts) {
          throw error;
        }
        await this.#pause(waitMs(error, attempt), options.signal);
      }
    }
  }

  async #request(
    method: string,
    path: string,
    { query = {}, body, bytes, key, headers, signal }: Sent,
  ): Promise<Response> {
    const url = new URL(path, this.#origin);
    for (const [name, value] of Object.entries(query)) {
      if (value !== undefined) {
        url.searchParams.set(name, String(value));
      }
    }
    try {
      return await fetch(url, {
        method,
        // A redirect would carry the token to wherever it leads.
        redirect: 'manual',
        headers: {
          authorization: `Bearer ${this.#token}`,
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...(bytes === undefined ? {} : { 'content-type': 'application/octet-stream' }),
          ...(key === undefined ? {} : { 'idempotency-key': key }),
          ...headers,
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        ...(bytes === undefined ? {} : { body: bytes }),
        ...(signal === undefined ? {} : { signal }),
      });
    } catch (error) {
      signal?.throwIfAborted();
      throw troubleWith(this.#origin.origin, error);
    }
  }
}

interface Sent {
  readonly query?: Query;
  readonly body?: Json | undefined;
  readonly bytes?: Uint8Array<ArrayBuffer>;
  readonly key?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal | undefined;
}

const passing: ReadonlySet<string> = new Set(['server.unreachable', 'server.busy', 'request.rate_limited']);

/** Trouble on the way, not an answer to the request: later it may work. */
export function isPassing(error: unknown): boolean {
  return error instanceof AgentError && passing.has(error.code);
}

/** As long as it was told to, within reason. */
function waitMs(error: unknown, attempt: number): number {
  const seconds = error instanceof AgentError ? Number(error.detail['retry_after_seconds'] ?? 0) : 0;
  return Math.max(250 * 2 ** attempt, Math.min(seconds, 30) * 1000);
}

const loopback = new Set(['127.0.0.1', '[::1]', 'localhost']);

/** The token must not travel in the clear over a network. */
function originOf(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const isSafe = url?.protocol === 'https:' || (url?.protocol === 'http:' && loopback.has(url.hostname));
  if (!url || !isSafe || url.username !== '' || url.pathname !== '/') {
    throw new AgentError('command.invalid', {
      reason: 'GPUAAS_URL must be an origin: https://HOST[:PORT], or http:// for the loopback address.',
    });
  }
  return url;
}

function troubleWith(url: string, error: unknown): AgentError {
  const { cause = error } = error as { cause?: unknown };
  const { code = '', message = '' } = cause as NodeJS.ErrnoException;
  if (isCertificateTrouble(cause)) {
    return new AgentError('server.untrusted', { reason: `${url}: ${message || code}.`, url }, { cause: error });
  }
  // OpenSSL's own words are of no use to anybody.
  const why = code.startsWith('ERR_SSL_') ? `it does not speak TLS (${code})` : message || code || String(cause);
  return new AgentError('server.unreachable', { reason: `${url} cannot be reached: ${why}.`, url }, { cause: error });
}

interface ErrorEnvelope {
  readonly error?: {
    readonly code?: string;
    readonly message?: string;
    readonly correlation_id?: string;
    readonly errors?: readonly Readonly<Record<string, string>>[];
  };
}

/** The failure that the control plane names, in our own words where it is older or newer than this command. */
async function failureOf(answer: Response): Promise<AgentError> {
  const { error = {} } = await envelopeOf(answer);
  const { code = '', message = '', correlation_id = '', errors = [] } = error;
  if (!Object.hasOwn(failures, code)) {
    const reason = `It answers ${answer.status}${message === '' ? '' : `: ${message}`}.`;
    return new AgentError('server.unintelligible', { reason, status: answer.status, correlation_id });
  }
  const known = code as FailureCode;
  const reason = message.startsWith(failures[known].message) ? message.slice(failures[known].message.length) : message;
  const retryAfter = /^\d{1,5}$/.exec(answer.headers.get('retry-after') ?? '')?.[0];
  const detail: FailureDetail = {
    ...{ correlation_id, errors: errors.map((each) => ({ ...each })) },
    ...(retryAfter === undefined ? {} : { retry_after_seconds: Number(retryAfter) }),
  };
  return new AgentError(known, reason.trim() === '' ? detail : { ...detail, reason: reason.trim() });
}

async function envelopeOf(answer: Response): Promise<ErrorEnvelope> {
  const text = await answer.text();
  try {
    return (JSON.parse(text) ?? {}) as ErrorEnvelope;
  } catch (error) {
    if (error instanceof SyntaxError) {
      return {};
    }
    throw error;
  }
}

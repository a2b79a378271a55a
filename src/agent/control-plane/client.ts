/**
 * The agent's HTTP calls to the control plane: few, small, answered by schema, never redirected.
 *
 * Node's own client, because it is loaded anyway and takes a CA of one's own; the agent calls a handful of times a day.
 */
import { type IncomingMessage, type RequestOptions, request as requestPlain } from 'node:http';
import { request as requestTls } from 'node:https';
import type { Static, TSchema } from 'typebox';
import { AgentError } from '../../contract/failures.ts';
import { readStrictJson } from '../../contract/strict-json.ts';
import { judgeKnown } from '../../contract/validate.ts';
import { answerOf } from '../../kit/answer-of.ts';
import { isCertificateTrouble } from '../../kit/certificate-trouble.ts';
import type { ControlPlaneOrigin } from './origin.ts';

export interface PostOptions<S extends TSchema> extends CallOptions<S> {
  readonly body: object;
}

export interface PutOptions<S extends TSchema> extends CallOptions<S> {
  readonly bytes: Uint8Array;
}

interface CallOptions<S extends TSchema> {
  /** What the answer must look like. */
  readonly answer: S;
  /** Token of the present session. */
  readonly bearer?: string | undefined;
  readonly timeoutMs?: number;
  /** Gives the call up; it rejects with the signal's reason then. */
  readonly signal?: AbortSignal;
}

const maxAnswerBytes = 1024 * 1024;
const usualTimeoutMs = 15_000;

/**
 * Posts JSON and returns the judged answer. `control_plane.unavailable` where it cannot be reached or has trouble of its
 * own, `control_plane.refused` where it says no, `control_plane.untrusted` where its certificate or answer is wrong.
 */
export async function post<S extends TSchema>(
  origin: ControlPlaneOrigin,
  path: string,
  options: PostOptions<S>,
): Promise<Static<S>> {
  const body = Buffer.from(JSON.stringify(options.body));
  return await answered(origin, path, { ...options, method: 'POST', type: 'application/json', body });
}

/** The same for bytes. */
export async function put<S extends TSchema>(
  origin: ControlPlaneOrigin,
  path: string,
  options: PutOptions<S>,
): Promise<Static<S>> {
  const { bytes: body } = options;
  return await answered(origin, path, { ...options, method: 'PUT', type: 'application/octet-stream', body });
}

/** The same for what is to go. */
export async function remove<S extends TSchema>(
  origin: ControlPlaneOrigin,
  path: string,
  options: CallOptions<S>,
): Promise<Static<S>> {
  return await answered(origin, path, { ...options, method: 'DELETE' });
}

interface Sent<S extends TSchema> extends CallOptions<S> {
  readonly method: 'POST' | 'PUT' | 'DELETE';
  readonly type?: string;
  readonly body?: Uint8Array;
}

async function answered<S extends TSchema>(
  origin: ControlPlaneOrigin,
  path: string,
  sent: Sent<S>,
): Promise<Static<S>> {
  const url = origin.audience + path;
  const { status, bytes } = await exchange(origin, url, sent);
  const read = readStrictJson(bytes);
  const value = read.ok ? read.value : undefined;
  if (status < 200 || status > 299) {
    throw refusal(url, status, value);
  }
  const judged = judgeKnown(sent.answer, value);
  if (!judged.ok) {
    const errors = judged.errors.map((error) => ({ ...error }));
    throw new AgentError('control_plane.untrusted', { reason: 'Its answer is not what was agreed on.', url, errors });
  }
  return judged.value;
}

interface Answer {
  readonly status: number;
  readonly bytes: Buffer;
}

async function exchange(
  origin: ControlPlaneOrigin,
  url: string,
  { method, type, body, bearer, timeoutMs = usualTimeoutMs, signal }: Sent<TSchema>,
): Promise<Answer> {
  const timeout = AbortSignal.timeout(timeoutMs);
  const request: RequestOptions = {
    method,
    headers: {
      ...(type !== undefined && { 'content-type': type }),
      'content-length': body?.length ?? 0,
      ...(bearer === undefined ? {} : { authorization: `Bearer ${bearer}` }),
    },
    signal: signal ? AbortSignal.any([timeout, signal]) : timeout,
    ...origin.tlsOptions(),
  };
  try {
    const send = origin.tls ? requestTls : requestPlain;
    const sent = send(url, { ...request, agent: false });
    sent.end(body);
    const response = await answerOf(sent);
    return { status: response.statusCode ?? 0, bytes: await bounded(response) };
  } catch (error) {
    signal?.throwIfAborted();
    throw describeFailure(url, error);
  }
}

async function bounded(response: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > maxAnswerBytes) {
      response.destroy();
      throw new RangeError('its answer is too long');
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

export function describeFailure(url: string, error: unknown): AgentError {
  const reason = `${(error as Error).message || 'The connection failed'}.`;
  const code = isCertificateTrouble(error) ? 'control_plane.untrusted' : 'control_plane.unavailable';
  return new AgentError(code, { reason, url }, { cause: error });
}

/** The control plane's own words, where it has some. */
export function refusal(url: string, status: number, body: unknown): AgentError {
  const { error } = (body ?? {}) as { error?: { code?: unknown; message?: unknown } };
  const said = typeof error?.message === 'string' ? error.message.slice(0, 500) : `It answered with status ${status}.`;
  const busy = status >= 500 || status === 429 || status === 408;
  return new AgentError(busy ? 'control_plane.unavailable' : 'control_plane.refused', {
    ...{ reason: said, url, status },
    ...(typeof error?.code === 'string' ? { refused_as: error.code.slice(0, 64) } : {}),
  });
}

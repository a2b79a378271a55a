/**
 * HTTP to the gate's Unix socket, in the shape in which dockerode asks for it (`dial`).
 *
 * It takes the place of docker-modem, which resolves a call whose answer was cut in half never at all, follows
 * redirects, renders every request as text for a debug log and drags in an SSH client. Promises of this one: a call
 * always ends, by an answer, an `AnswerError`, the error of the socket or the reason of its signal; an answer that was
 * cut is an error; nothing is read without a bound.
 */

import {
  Agent,
  type ClientRequest,
  request as httpRequest,
  type IncomingMessage,
  type OutgoingHttpHeaders,
} from 'node:http';
import type { Readable } from 'node:stream';
import { askPlainly, unchunked } from '../../kit/plain-answer.ts';

/** An answer that says no. What the gate refuses has a code and details; what the engine refuses has a message only. */
export class AnswerError extends Error {
  override readonly name = 'AnswerError';
  readonly status: number;
  readonly body: AnswerBody;

  constructor(status: number, body: AnswerBody) {
    super(body.message);
    this.status = status;
    this.body = body;
  }
}

export interface AnswerBody {
  readonly message: string;
  readonly code?: unknown;
  readonly detail?: unknown;
  readonly errors?: unknown;
}

export interface TransportCall {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'DELETE';
  /** Without query. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string | number | boolean>> | undefined;
  /** Sent as JSON where it is given. */
  readonly body?: unknown;
  /** Sent as it comes, in the place of a JSON body; left where it is when the answer comes before its end. */
  readonly stream?: Readable | undefined;
  readonly headers?: OutgoingHttpHeaders | undefined;
  /** Aborts the call and, later, the stream of its answer. */
  readonly signal: AbortSignal;
}

/** A body that is read at the pace of its reader; that of an `IncomingMessage`, too. */
export interface Body extends AsyncIterable<Buffer> {
  destroy(): unknown;
}

/** What dockerode hands to `dial`, as far as our calls use it. */
export interface DialOptions {
  readonly method: TransportCall['method'];
  /** Ends with `?` where the options are a query. */
  readonly path: string;
  readonly options?: DialArguments | undefined;
  readonly authconfig?: object | undefined;
  readonly abortSignal?: AbortSignal | undefined;
  readonly isStream?: boolean | undefined;
}

interface DialArguments {
  readonly _query?: TransportCall['query'];
  readonly _body?: unknown;
  readonly abortSignal?: AbortSignal;
  readonly [key: string]: unknown;
}

type DialCallback = (error: unknown, answer: unknown) => void;

const maxAnswerBytes = 64 * 1024 * 1024;
const maxErrorBytes = 256 * 1024;
const maxIdleConnections = 4;

export class Transport {
  readonly socketPath: string;
  readonly #agent = new Agent({ keepAlive: true, maxFreeSockets: maxIdleConnections });

  constructor(socketPath: string) {
    this.socketPath = socketPath;
  }

  /** dockerode's way in. Options are the query where the path ends with `?`, else the body of a POST. */
  dial({ method, path, options = {}, authconfig, abortSignal, isStream }: DialOptions, callback: DialCallback): void {
    const { _query, _body, abortSignal: innerSignal, ...rest } = options;
    // Some of its calls pass the signal only among the options. Without one a call could hang for ever.
    const signal = abortSignal ?? innerSignal;
    if (signal === undefined) {
      callback(new TypeError(`${method} ${path} was called without a signal`), null);
      return;
    }
    const takesQuery = path.endsWith('?');
    const call: TransportCall = {
      method,
      path: takesQuery ? path.slice(0, -1) : path,
      query: takesQuery ? (_query ?? (rest as TransportCall['query'])) : undefined,
      body: takesQuery || method !== 'POST' ? _body : (_body ?? rest),
      headers: authconfig === undefined ? undefined : { 'x-registry-auth': encodeRegistryAuth(authconfig) },
      signal,
    };
    // The last line also ends calls whose callback throws because the answer lacks what it looks for.
    (isStream ? this.stream(call) : this.json(call))
      .then((answer) => callback(null, answer))
      .catch((error: unknown) => callback(error, null));
  }

  /** Resolves when the headers of a 2xx answer are there; its body is the caller's to read or destroy. */
  async stream(call: TransportCall): Promise<IncomingMessage> {
    const answer = await this.#send(call, isRepeatable(call.method) ? 1 : 0);
    const status = answer.statusCode ?? 0;
    if (status >= 200 && status < 300) {
      return answer;
    }
    const text = await readAll(answer, maxErrorBytes, call.signal);
    throw new AnswerError(status, readErrorBody(status, text));
  }

  /** A body that may be large, each piece of it there until the next is asked for; fails like `stream`. Undefined for what is neither: whatever that is, `stream` tells it. */
  async large({ path, query, signal }: Pick<TransportCall, 'path' | 'query' | 'signal'>): Promise<Body | undefined> {
    const asked = { socketPath: this.socketPath, path: withQuery(path, query), signal };
    const answer = await askPlainly(asked).catch(() => undefined);
    if (answer?.isChunked) {
      return { [Symbol.asyncIterator]: () => unchunked(answer), destroy: () => answer.destroy() };
    }
    const refusal =
      answer && answer.status >= 300 ? await answer.readWhole(maxErrorBytes).catch(() => undefined) : undefined;
    answer?.destroy();
    signal.throwIfAborted();
    if (answer && refusal) throw new AnswerError(answer.status, readErrorBody(answer.status, refusal.toString()));
    return undefined;
  }

  /** The JSON of the answer; its text where it is of another type, undefined where it has no body. */
  async json(call: TransportCall): Promise<unknown> {
    const answer = await this.stream(call);
    const text = await readAll(answer, maxAnswerBytes, call.signal);
    if (text === '') {
      return undefined;
    }
    return answer.headers['content-type']?.startsWith('application/json') ? JSON.parse(text) : text;
  }

  /** Closes connections that nobody uses; a running call keeps its own. */
  closeIdle(): void {
    for (const socket of Object.values(this.#agent.freeSockets).flatMap((sockets) => sockets ?? [])) {
      socket.destroy();
    }
  }

  async #send(call: TransportCall, retries: number): Promise<IncomingMessage> {
    call.signal.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    const json = call.body === undefined ? undefined : JSON.stringify(call.body);
    const outgoing = httpRequest({
      socketPath: this.socketPath,
      agent: this.#agent,
      method: call.method,
      path: withQuery(call.path, call.query),
      headers: { host: 'engine', ...(call.stream ? {} : headersOf(call.method, json)), ...call.headers },
      signal: call.signal,
    });
    let answered = false;
    outgoing.once('response', (answer) => {
      answered = true;
      resolve(answer);
    });
    // Not once: the socket may break again after the answer, and nobody else listens there.
    outgoing.on('error', (error) => {
      if (!answered && retries > 0 && outgoing.reusedSocket && isCut(error) && !call.signal.aborted) {
        resolve(this.#send(call, retries - 1));
      } else {
        reject(call.signal.aborted ? call.signal.reason : error);
      }
    });
    if (call.stream === undefined) outgoing.end(json);
    else pour(call.stream, outgoing);
    return await promise;
  }
}

/** Who answers before the end wants no more of it; that connection ends with the answer. */
function pour(stream: Readable, outgoing: ClientRequest): void {
  outgoing.once('response', (answer) => {
    stream.unpipe(outgoing);
    answer.once('close', () => outgoing.destroy());
  });
  stream.once('error', (error) => outgoing.destroy(error));
  stream.once('close', () => {
    if (!stream.readableEnded) outgoing.destroy();
  });
  stream.pipe(outgoing);
}

/** True if the connection was lost on the way. An idle one may have been closed by a restart nobody noticed. */
export function isCut(error: unknown): boolean {
  return cutCodes.has((error as NodeJS.ErrnoException).code ?? '');
}

const cutCodes = new Set(['ECONNRESET', 'EPIPE', 'ERR_STREAM_PREMATURE_CLOSE', 'HPE_INVALID_EOF_STATE']);

function isRepeatable(method: TransportCall['method']): boolean {
  return method !== 'POST' && method !== 'PUT';
}

function withQuery(path: string, query: TransportCall['query']): string {
  const pairs = Object.entries(query ?? {}).map(([key, value]): [string, string] => [key, String(value)]);
  return pairs.length === 0 ? path : `${path}?${new URLSearchParams(pairs)}`;
}

function headersOf(method: TransportCall['method'], json: string | undefined): OutgoingHttpHeaders {
  if (json === undefined) {
    return method === 'POST' || method === 'PUT' ? { 'content-length': 0 } : {};
  }
  return { 'content-type': 'application/json', 'content-length': Buffer.byteLength(json) };
}

/** URL-safe with padding: without the padding engines take the header for an empty one and pull anonymously. */
function encodeRegistryAuth(auth: object): string {
  return Buffer.from(JSON.stringify(auth)).toString('base64').replaceAll('+', '-').replaceAll('/', '_');
}

async function readAll(answer: IncomingMessage, limit: number, signal: AbortSignal): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  try {
    for await (const chunk of answer as AsyncIterable<Buffer>) {
      length += chunk.length;
      if (length > limit) {
        throw new Error(`the answer is larger than ${limit} bytes`);
      }
      chunks.push(chunk);
    }
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  }
  return Buffer.concat(chunks).toString();
}

function readErrorBody(status: number, text: string): AnswerBody {
  try {
    const body: unknown = JSON.parse(text);
    if (body !== null && typeof body === 'object' && 'message' in body) {
      return { ...body, message: String(body.message) };
    }
  } catch (error) {
    if (!(error instanceof SyntaxError)) {
      throw error;
    }
  }
  return { message: text.trim() || `HTTP status ${status}` };
}

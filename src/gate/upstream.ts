/**
 * The gate's client of the engine: the only code of the project that writes to the engine's socket.
 *
 * Everything sent is built here from parsed parts; no byte of a client passes through but a tar for a volume of a job, for
 * a build or an image, which is all of a body, in chunks of our own making. The gate speaks one version of the API,
 * whatever version its clients name.
 */
import {
  Agent,
  type ClientRequest,
  request as httpRequest,
  type IncomingMessage,
  type RequestOptions,
} from 'node:http';
import type { Duplex, Readable } from 'node:stream';
import { AgentError } from '../contract/failures.ts';
import { readObjects } from '../kit/json-objects.ts';
import { askPlainly, type PlainAnswer } from '../kit/plain-answer.ts';
import { assertUsable, type VersionAnswer } from './engine-kind.ts';

/** The version whose fields the policy knows. A newer engine that dropped it is spoken to in its oldest version. */
const spokenVersion = [1, 41] as const;

/** Answers that are read whole are small: an inspect, a list, an error. */
const maxAnswerBytes = 64 * 1024 * 1024;

/** Those that are read in the place of a large one. */
const maxSmallBytes = 256 * 1024;

const negotiationTimeoutMs = 10_000;

export interface EngineCall {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'DELETE';
  /** Path without a version. Whoever builds it escapes what is variable in it. */
  readonly path: string;
  /** A list is given as often as it has entries. */
  readonly query?: Readonly<Record<string, string | readonly string[]>>;
  /** Sent as JSON. */
  readonly body?: unknown;
  /** Sent as it comes, in the place of a JSON body. Where it breaks, the call breaks: the engine sees no end of it. */
  readonly stream?: Readable;
  readonly headers?: Readonly<Record<string, string>>;
  /** Aborts the call, and the stream of its answer. */
  readonly signal: AbortSignal;
}

/** What the engine answered, read whole. */
export interface EngineAnswer {
  readonly status: number;
  readonly contentType: string | undefined;
  readonly body: Buffer;
}

/** An exec stream after the engine switched protocols. */
export interface UpgradedStream {
  readonly upgraded: Duplex;
  /** What the engine sent right behind its headers. */
  readonly head: Buffer;
}

interface SentCall {
  readonly sent: ClientRequest;
  readonly answer: Promise<IncomingMessage>;
}

export class Upstream {
  readonly #socketPath: string;
  /**
   * No call ever waits for another one's connection: one that looks at a started container must not stand behind a
   * client's streams. How many there are at once is bounded by the calls that the server takes in.
   */
  readonly #agent = new Agent({ keepAlive: true, maxFreeSockets: 8, maxSockets: Number.POSITIVE_INFINITY });
  readonly #approved: readonly string[];
  #prefix: Promise<string> | undefined;

  /** `approved`: engines of host policy; another one is told apart by what it says of itself, and asked nothing else. */
  constructor(socketPath: string, approved: readonly string[]) {
    this.#socketPath = socketPath;
    this.#approved = approved;
  }

  /** Resolves when the answer's headers are there. Throws `engine.unavailable`, or the reason of the signal. */
  async stream(call: EngineCall): Promise<IncomingMessage> {
    const { answer } = await this.#send(call, { agent: this.#agent });
    return await answer;
  }

  /**
   * A body that may be large, as it stands on the line, or a small answer, as one that says no, whole. Undefined where it is neither:
   * whatever that is, `stream` tells it.
   */
  async plain({
    path,
    query,
    signal,
  }: Pick<EngineCall, 'path' | 'query' | 'signal'>): Promise<PlainAnswer | EngineAnswer | undefined> {
    const url = urlOf(await this.version(), { path, query });
    const answer = await askPlainly({ socketPath: this.#socketPath, path: url, signal }).catch(() => undefined);
    if (answer?.isChunked) return answer;
    const body = answer?.status ? await answer.readWhole(maxSmallBytes).catch(() => undefined) : undefined;
    answer?.destroy();
    signal.throwIfAborted();
    return answer && body && { status: answer.status, contentType: answer.headers['content-type'], body };
  }

  /** Like `stream`, and reads the answer whole. */
  async ask(call: EngineCall): Promise<EngineAnswer> {
    const incoming = await this.stream(call);
    return await readAnswer(incoming, call.signal);
  }

  /** Asks for a protocol switch. An engine that answers without switching gives its answer instead of a stream. */
  async upgrade(call: EngineCall): Promise<UpgradedStream | IncomingMessage> {
    const headers = { ...call.headers, connection: 'Upgrade', upgrade: 'tcp' };
    // Half-open: the end of what the client sends must not end what the program still has to say.
    const { sent, answer } = await this.#send({ ...call, headers }, { agent: false, ...{ allowHalfOpen: true } });
    return await new Promise((resolve, reject) => {
      sent.once('upgrade', (_incoming, upgraded, head) => resolve({ upgraded, head }));
      answer.then(resolve, reject);
    });
  }

  /** `/v1.N` as it is spoken with this engine, if it may be used; asked once, and again after the engine was away. */
  version(): Promise<string> {
    this.#prefix ??= this.#negotiate(AbortSignal.timeout(negotiationTimeoutMs)).catch((error: unknown) => {
      this.#prefix = undefined;
      throw error;
    });
    return this.#prefix;
  }

  /** First number of the engine's version; 0 where it says none. */
  async major(): Promise<number> {
    const answer = await this.ask({
      method: 'GET',
      path: '/version',
      signal: AbortSignal.timeout(negotiationTimeoutMs),
    });
    const { Version } = JSON.parse(answer.body.toString()) as VersionAnswer;
    return numbersOf(Version)[0];
  }

  close(): void {
    this.#agent.destroy();
  }

  async #send(call: EngineCall, extra: RequestOptions): Promise<SentCall> {
    const prefix = call.path === '/_ping' ? '' : await this.version();
    return this.#open(prefix, call, extra);
  }

  /** Listens for answer and error in the same breath: an error that nobody listens for would end the process. */
  #open(prefix: string, call: EngineCall, extra: RequestOptions): SentCall {
    const json = call.body === undefined ? undefined : Buffer.from(JSON.stringify(call.body));
    const sent = httpRequest({
      ...extra,
      socketPath: this.#socketPath,
      method: call.method,
      path: urlOf(prefix, call),
      headers: {
        host: 'engine',
        ...(json === undefined ? {} : { 'content-type': 'application/json' }),
        ...(call.method === 'POST' && call.stream === undefined ? { 'content-length': json?.length ?? 0 } : {}),
        ...call.headers,
      },
      signal: call.signal,
    });
    const answer = this.#answerTo(sent, call.signal);
    if (call.stream === undefined) sent.end(json);
    else pour(call.stream, sent);
    return { sent, answer };
  }

  async #negotiate(signal: AbortSignal): Promise<string> {
    const call: EngineCall = { method: 'GET', path: '/version', signal };
    const answer = await readAnswer(await this.#open('', call, { agent: this.#agent }).answer, signal);
    const said = JSON.parse(answer.body.toString()) as VersionAnswer;
    assertUsable(said, this.#approved);
    const { ApiVersion, MinAPIVersion } = said;
    const newest = numbersOf(ApiVersion);
    const oldest = numbersOf(MinAPIVersion);
    if (isBelow(newest, spokenVersion)) {
      const reason = `It speaks API ${ApiVersion}; ${spokenVersion.join('.')} is needed.`;
      throw new AgentError('engine.unavailable', { state: 'too_old', reason });
    }
    return `/v${(isBelow(spokenVersion, oldest) ? oldest : spokenVersion).join('.')}`;
  }

  /** The headers of the answer, or the error that came instead of them. */
  #answerTo(sent: ClientRequest, signal: AbortSignal): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      sent.once('response', resolve);
      // Stays for the life of the request: an error after the answer must find a listener, too.
      sent.on('error', (error) => {
        if (!signal.aborted) this.#prefix = undefined;
        reject(signal.aborted ? signal.reason : unavailable(error, this.#socketPath));
      });
    });
  }
}

function urlOf(
  prefix: string,
  { path, query }: { readonly path: string; readonly query?: EngineCall['query'] | undefined },
): string {
  const pairs = Object.entries(query ?? {}).flatMap(([key, value]) => [value].flat().map((one) => [key, one]));
  const text = new URLSearchParams(pairs).toString();
  return `${prefix}${path}${text === '' ? '' : `?${text}`}`;
}

/** Until the end of it, or the answer: an engine that has answered wants no more. */
function pour(stream: Readable, sent: ClientRequest): void {
  sent.once('response', () => stream.unpipe(sent));
  stream.once('close', () => {
    if (!stream.readableEnded) sent.destroy();
  });
  stream.pipe(sent);
}

/** The rest of an answer whose headers are there, whole. Throws `engine.unavailable`, or the reason of the signal. */
export async function readAnswer(incoming: IncomingMessage, signal: AbortSignal): Promise<EngineAnswer> {
  const chunks: Buffer[] = [];
  let length = 0;
  try {
    for await (const chunk of incoming as AsyncIterable<Buffer>) {
      length += chunk.length;
      if (length > maxAnswerBytes) throw new Error(`the engine's answer is larger than ${maxAnswerBytes} bytes`);
      chunks.push(chunk);
    }
  } catch (error) {
    signal.throwIfAborted();
    throw unavailable(error);
  }
  return {
    status: incoming.statusCode ?? 0,
    contentType: incoming.headers['content-type'],
    body: Buffer.concat(chunks),
  };
}

/** The objects of a list, one by one: it may be larger than what is read whole. Throws like `readAnswer`. */
export async function* readList(incoming: Readable, signal: AbortSignal): AsyncGenerator<unknown> {
  try {
    yield* readObjects(incoming as AsyncIterable<Buffer>, maxAnswerBytes);
  } catch (error) {
    signal.throwIfAborted();
    throw unavailable(error);
  }
}

/** So many bytes of an answer, undefined where it has fewer; its rest is not to be had any more. Throws like `readAnswer`. */
export async function readStart(incoming: Readable, length: number, signal: AbortSignal): Promise<Buffer | undefined> {
  let bytes = Buffer.alloc(0);
  try {
    for await (const chunk of incoming as AsyncIterable<Buffer>) {
      bytes = Buffer.concat([bytes, chunk]);
      if (bytes.length >= length) return bytes.subarray(0, length);
    }
  } catch (error) {
    signal.throwIfAborted();
    throw unavailable(error);
  }
  return undefined;
}

/** Says why the engine cannot be reached: nobody there, not allowed, or it went away in the middle. */
function unavailable(cause: unknown, socket?: string): AgentError {
  const code = (cause as NodeJS.ErrnoException).code ?? '';
  const where = socket === undefined ? {} : { socket };
  if (code === 'ENOENT' || code === 'ECONNREFUSED' || code === 'ENOTSOCK') {
    const reason = 'Nothing listens on its socket.';
    return new AgentError('engine.unavailable', { state: 'not_running', reason, ...where }, { cause });
  }
  if (code === 'EACCES' || code === 'EPERM') {
    const reason = 'The user that the gate runs as may not use its socket.';
    return new AgentError('engine.unavailable', { state: 'no_permission', reason, ...where }, { cause });
  }
  const reason = 'It closed the connection before it had answered.';
  return new AgentError('engine.unavailable', { state: 'connection_lost', reason, ...where }, { cause });
}

function numbersOf(version: string | undefined): readonly [number, number] {
  const [major = 0, minor = 0] = (version ?? '').split('.').map(Number);
  return [major, minor];
}

function isBelow(a: readonly [number, number], b: readonly [number, number]): boolean {
  return a[0] < b[0] || (a[0] === b[0] && a[1] < b[1]);
}

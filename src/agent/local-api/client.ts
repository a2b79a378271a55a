/** Asks the daemon of this host, through its socket. */
import { type IncomingMessage, request } from 'node:http';
import { json } from 'node:stream/consumers';
import { AgentError, type Failure } from '../../contract/failures.ts';
import { answerOf } from '../../kit/answer-of.ts';
import { readLines } from '../../kit/lines.ts';

export interface LocalClient {
  /** The answer of a GET, or of a POST where there is a body. What the agent refuses is thrown as it said it. */
  ask<T>(path: string, options?: AskOptions): Promise<T>;
  /** The lines of an answer that comes piece by piece. */
  stream<T>(path: string, options?: AskOptions): AsyncGenerator<T, void, undefined>;
}

export interface AskOptions {
  readonly query?: Readonly<Record<string, string | undefined>>;
  readonly body?: unknown;
  readonly signal?: AbortSignal;
}

/** Longest line that is read; a result with all its events is far below. */
const maxLineBytes = 16 * 1024 * 1024;

export function localClient(socketPath: string): LocalClient {
  return {
    ask: async <T>(path: string, options: AskOptions = {}) => {
      return (await json(await call(socketPath, path, options))) as T;
    },
    stream: async function* <T>(path: string, options: AskOptions = {}) {
      const response = await call(socketPath, path, options);
      for await (const line of readLines(unbroken(response, options.signal), maxLineBytes)) {
        const value = JSON.parse(line) as T | { failure: Failure };
        if (isFailure(value)) {
          throw said(value.failure);
        }
        yield value;
      }
    },
  };
}

/** True if a daemon answers there. */
export async function isAgentThere(socketPath: string): Promise<boolean> {
  try {
    await localClient(socketPath).ask('/v1/status');
    return true;
  } catch (error) {
    if (error instanceof AgentError && error.code === 'agent.absent') {
      return false;
    }
    throw error;
  }
}

async function call(socketPath: string, path: string, { query = {}, body, signal }: AskOptions) {
  const given = Object.entries(query).filter((pair): pair is [string, string] => pair[1] !== undefined);
  const search = new URLSearchParams(given).toString();
  const sent = request({
    ...{ socketPath, path: search === '' ? path : `${path}?${search}`, method: body === undefined ? 'GET' : 'POST' },
    ...(signal === undefined ? {} : { signal }),
  });
  sent.end(body === undefined ? undefined : JSON.stringify(body));

  const response = await answerOf(sent).catch((error: unknown) => {
    throw signal?.aborted ? signal.reason : absent(socketPath, error as Error);
  });
  if (response.statusCode !== 200) {
    throw said(((await json(response)) as { failure: Failure }).failure);
  }
  return response;
}

/** A connection that ends before the answer does is a daemon that went away. */
async function* unbroken(response: IncomingMessage, signal: AbortSignal | undefined): AsyncGenerator<Buffer> {
  try {
    yield* response as AsyncIterable<Buffer>;
  } catch (cause) {
    signal?.throwIfAborted();
    throw new AgentError('agent.absent', { reason: 'It went away before its answer ended.' }, { cause });
  }
}

/** `failure` is a key of no line but the last one of an answer that broke off. */
function isFailure(value: unknown): value is { failure: Failure } {
  return typeof value === 'object' && value !== null && 'failure' in value;
}

/** The agent's own words: the same code and detail as if it had happened here. */
function said({ code, detail }: Failure): AgentError {
  return new AgentError(code, detail as AgentError['detail']);
}

/** Whatever keeps somebody from connecting: there is no daemon for this command. */
function absent(socket: string, cause: NodeJS.ErrnoException): AgentError {
  const reason =
    cause.code === 'EACCES'
      ? `${socket} may only be opened by the user that the agent runs as, and by root.`
      : `Nobody answers on ${socket}: ${cause.code ?? cause.message}.`;
  return new AgentError('agent.absent', { socket, reason }, { cause });
}

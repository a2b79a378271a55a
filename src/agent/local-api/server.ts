/**
 * The agent's socket for the commands of its own host: HTTP on `<run_dir>/agent.sock`, mode 0600.
 *
 * Whoever can open the socket is root or the agent's own user, so there is no other permission to check. Answers are
 * JSON; what takes long comes as one JSON object a line, and an error in the middle as a last line `{failure}`.
 */
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { dirname } from 'node:path';
import { AgentError, type Failure, type FailureKind } from '../../contract/failures.ts';
import { listenOn } from '../../gate/socket-file.ts';
import type { Log } from '../../kit/log.ts';
import type { LocalAgent } from './local-agent.ts';
import { type ApiCall, routes } from './routes.ts';

export interface LocalApi {
  /** Takes no new calls and ends those that are open. */
  close(): Promise<void>;
}

export interface LocalApiOptions {
  readonly socketPath: string;
  readonly log: Log;
}

/** Resolves when the socket can be connected to. `agent.busy` if another process answers there. */
export async function serveLocalApi(agent: LocalAgent, { socketPath, log }: LocalApiOptions): Promise<LocalApi> {
  mkdirSync(dirname(socketPath), { recursive: true, mode: 0o700 });
  const server = createServer({ keepAlive: false }, (request, response) => {
    void answer(agent, request, response).catch((err: unknown) => {
      log.error({ err, route: request.url }, 'local call failed');
      response.destroy();
    });
  });
  const removeSocket = await listenOn(server, { path: socketPath, mode: 0o600 });
  return {
    close: async () => {
      await removeSocket();
      server.close();
      server.closeAllConnections();
    },
  };
}

async function answer(agent: LocalAgent, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = new URL(request.url ?? '/', 'http://agent');
  const gone = new AbortController();
  response.once('close', () => gone.abort(new AgentError('task.cancelled', { reason: 'Nobody waits for it.' })));
  const call: ApiCall = { agent, query: url.searchParams, signal: gone.signal, body: () => readBody(request) };
  try {
    const route = routes[`${request.method} ${url.pathname}`];
    if (!route) {
      throw new AgentError('command.invalid', { reason: `The agent has no ${request.method} ${url.pathname}.` });
    }
    const result = await route(call);
    if (isStream(result)) {
      await sendLines(response, result, gone.signal);
    } else {
      sendJson(response, 200, result);
    }
  } catch (error) {
    if (gone.signal.aborted) {
      return;
    }
    sendFailure(response, failureOf(error));
  }
}

function isStream(result: unknown): result is AsyncIterable<unknown> {
  return typeof result === 'object' && result !== null && Symbol.asyncIterator in result;
}

async function sendLines(response: ServerResponse, lines: AsyncIterable<unknown>, signal: AbortSignal): Promise<void> {
  for await (const line of lines) {
    if (!response.headersSent) {
      response.writeHead(200, { 'content-type': 'application/x-ndjson' });
    }
    if (!response.write(`${JSON.stringify(line)}\n`)) {
      await once(response, 'drain', { signal });
    }
  }
  response.end();
}

function sendJson(response: ServerResponse, status: number, value: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
}

function sendFailure(response: ServerResponse, failure: Failure): void {
  if (response.headersSent) {
    response.end(`${JSON.stringify({ failure })}\n`);
  } else {
    sendJson(response, statuses[failure.kind], { failure });
  }
}

const statuses: Readonly<Record<FailureKind, number>> = {
  ...{ invalid: 400, denied: 403, conflict: 409, exhausted: 429, unavailable: 503 },
  ...{ cancelled: 409, timed_out: 504, internal: 500 },
};

function failureOf(error: unknown): Failure {
  if (error instanceof AgentError) {
    return error.toFailure();
  }
  const reason = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  return new AgentError('internal', { reason }, { cause: error }).toFailure();
}

/** As large as a task may be. */
const maxBodyBytes = 1024 * 1024;

async function readBody(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > maxBodyBytes) {
      throw new AgentError('command.invalid', { reason: `It is larger than ${maxBodyBytes} bytes.` });
    }
    chunks.push(chunk);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8'));
  } catch (error) {
    throw new AgentError('command.invalid', { reason: 'The body is not JSON.' }, { cause: error });
  }
}

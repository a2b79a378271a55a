/**
 * What the gate answers: JSON of its own, what the engine said, or a failure.
 *
 * Failures have the engine's `message` first, so that every engine client shows it, and beside it what our own client
 * needs to raise the same failure again.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { pipeline } from 'node:stream/promises';
import { AgentError, type FailureCode, type FailureDetail, type FailureKind, failures } from '../contract/failures.ts';
import type { PathError } from '../contract/validate.ts';
import { isDiskFull } from '../kit/disk-full.ts';
import type { PlainAnswer } from '../kit/plain-answer.ts';
import type { EngineAnswer } from './upstream.ts';

/** Body of every answer with a status of 400 or more that does not come from the engine itself. */
export interface GateFailure {
  readonly message: string;
  readonly code: FailureCode;
  /** What exactly was refused. */
  readonly errors?: readonly PathError[];
  /** For `engine.unavailable`: not_running, no_permission, connection_lost, too_old. */
  readonly reason?: string;
  /** Detail of the failure as a task would report it. */
  readonly detail: FailureDetail;
}

const statusOfKind: Record<FailureKind, number> = {
  invalid: 403,
  denied: 403,
  conflict: 409,
  exhausted: 507,
  unavailable: 503,
  cancelled: 503,
  timed_out: 504,
  internal: 500,
};

/** The engine's headers that a client needs; all others stay behind. */
const passedHeaders = ['content-type', 'api-version', 'docker-experimental', 'ostype', 'server'];

export function sendJson(response: ServerResponse, status: number, value: unknown): void {
  const body = Buffer.from(JSON.stringify(value));
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': body.length });
  response.end(body);
}

/** Passes on what the engine answered, whatever its status. */
export function sendAnswer(response: ServerResponse, { status, contentType, body }: EngineAnswer): void {
  const type = contentType === undefined ? {} : { 'content-type': contentType };
  const length = status === 204 || status === 304 ? {} : { 'content-length': body.length };
  response.writeHead(status, { ...type, ...length });
  response.end(body);
}

/**
 * Passes on an answer as it comes. Its headers go out at once: clients wait for those of a stream that has nothing to
 * say yet. Resolves at the end of the stream, also when either side broke it.
 */
export async function sendStream(response: ServerResponse, incoming: IncomingMessage): Promise<void> {
  response.writeHead(incoming.statusCode ?? 502, headersOf(incoming));
  response.flushHeaders();
  await pipeline(incoming, response);
}

/**
 * The same for a large one: its bytes go on as they stand on the line, chunks and all, and the connection ends with it. A client
 * that leaves ends it, and so does the signal, also where the client does not read.
 */
export async function sendPlain(response: ServerResponse, answer: PlainAnswer, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  response.writeHead(answer.status, { ...headersOf(answer), 'transfer-encoding': 'chunked', connection: 'close' });
  response.flushHeaders();
  const { socket } = response;
  const leave = () => response.destroy();
  signal.addEventListener('abort', leave, { once: true });
  try {
    for await (const bytes of answer) {
      if (socket && (await isWritten(socket, bytes))) continue;
      response.destroy();
      return;
    }
    // Not by the response, which would write an end of its own.
    socket?.end(() => socket.destroy());
  } finally {
    signal.removeEventListener('abort', leave);
  }
}

/** False where nobody is there any more. */
function isWritten(socket: Socket, bytes: Buffer): Promise<boolean> {
  return new Promise((resolve) => socket.write(bytes, (error) => resolve(!error)));
}

function headersOf({ headers }: Pick<IncomingMessage, 'headers'>): Record<string, string> {
  const passed: Record<string, string> = {};
  for (const name of passedHeaders) {
    const value = headers[name];
    if (typeof value === 'string') passed[name] = value;
  }
  return passed;
}

/** Status and body that tell a client of this error. An error that is none of ours is `internal`, its text unsaid. */
export function describeFailure(error: unknown): { status: number; body: GateFailure } {
  const { code, message, detail } = asAgentError(error);
  const status = code.endsWith('.not_found') ? 404 : statusOfKind[failures[code].kind];
  const { errors, state, reason } = detail as { errors?: readonly PathError[]; state?: string; reason?: string };
  return {
    status,
    body: {
      // A failure with a reason has said it already.
      message: errors === undefined || reason !== undefined ? message : `${message} ${errors.map(sayError).join('; ')}`,
      code,
      ...(errors === undefined ? {} : { errors }),
      ...(state === undefined ? {} : { reason: state }),
      detail,
    },
  };
}

function asAgentError(error: unknown): AgentError {
  if (error instanceof AgentError) return error;
  if (error instanceof DOMException && error.name === 'TimeoutError') return new AgentError('engine.timed_out');
  if (isDiskFull(error))
    return new AgentError('disk.full', { reason: 'The gate can write nothing more.' }, { cause: error });
  return new AgentError('internal', {}, { cause: error });
}

function sayError({ path, message }: PathError): string {
  return path === '' ? message : `${path} ${message}`;
}

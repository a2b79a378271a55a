/**
 * What is no HTTP, or stops being it: answered like every other failure, where there is somebody to answer, and the connection
 * ends. Node and the HTTP library would each answer in a shape of their own.
 */
import { type ServerResponse, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import { AgentError } from '../../contract/failures.ts';
import { envelopeOf } from './errors.ts';

interface Refusal {
  readonly status: number;
  readonly failure: AgentError;
}

/** `latest` is the newest answer on this connection, if there was one: what is under way is cut off, not continued as another. */
export function answerUnreadable(
  error: Error & { readonly code?: string },
  socket: Socket,
  latest: ServerResponse | undefined,
  headers: Readonly<Record<'x-correlation-id', string> & Record<string, string>>,
): void {
  const isUnderWay = latest?.headersSent === true && !latest.writableFinished;
  // Of other errors nobody hears: the connection is gone, or its TLS never stood.
  const isHttp = /^(HPE|ERR_HTTP)_/.test(error.code ?? '');
  if (!isHttp || isUnderWay || !socket.writable) {
    socket.destroy();
    return;
  }
  const { status, failure } = refusalOf(error.code);
  const body = JSON.stringify(envelopeOf(failure, headers['x-correlation-id']));
  const all = Object.entries({
    ...headers,
    ...{ connection: 'close', 'content-type': 'application/json; charset=utf-8' },
    'content-length': String(Buffer.byteLength(body)),
  });
  const lines = all.map(([name, value]) => `${name}: ${value}\r\n`).join('');
  socket.write(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${lines}\r\n${body}`);
  socket.destroySoon();
}

function refusalOf(code: string | undefined): Refusal {
  switch (code) {
    case 'HPE_HEADER_OVERFLOW':
      return { status: 431, failure: new AgentError('request.too_large', { reason: 'Its headers are.' }) };
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return { status: 408, failure: unreadable('did not arrive in time') };
    default:
      return { status: 400, failure: unreadable('is not HTTP that can be read') };
  }
}

function unreadable(message: string): AgentError {
  return new AgentError('request.invalid', { errors: [{ path: '', code: 'http', message }] });
}

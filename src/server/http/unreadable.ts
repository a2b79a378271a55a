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

const tooManyCookies =
  'Its headers are. A workload that was opened on this host name may have set too many cookies: load the page again, or delete the cookies of this host name.';

/** `latest` is the newest answer on this connection, if there was one: what is under way is cut off, not continued as another. */
export function answerUnreadable(
  error: Error & { readonly code?: string; readonly rawPacket?: unknown },
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
    ...(status === 431 && isOfOurPage(error.rawPacket) ? { 'clear-site-data': '"cookies"' } : {}),
    ...{ connection: 'close', 'content-type': 'application/json; charset=utf-8' },
    'content-length': String(Buffer.byteLength(body)),
  });
  const lines = all.map(([name, value]) => `${name}: ${value}\r\n`).join('');
  socket.write(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${lines}\r\n${body}`);
  socket.destroySoon();
}

/**
 * Cookies know no ports: what runs at another port of this host name can set so many that no request of our page comes through,
 * so they are cleared. Not where another site asks, whose long address shall not sign anybody out.
 */
function isOfOurPage(packet: unknown): boolean {
  const text = Buffer.isBuffer(packet) ? packet.toString('latin1') : '';
  return /\r\nsec-fetch-site: (none|same-origin)\r\n/i.test(text) && /\r\ncookie: /i.test(text);
}

function refusalOf(code: string | undefined): Refusal {
  switch (code) {
    case 'HPE_HEADER_OVERFLOW':
      return { status: 431, failure: new AgentError('request.too_large', { reason: tooManyCookies }) };
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return { status: 408, failure: unreadable('did not arrive in time') };
    default:
      return { status: 400, failure: unreadable('is not HTTP that can be read') };
  }
}

function unreadable(message: string): AgentError {
  return new AgentError('request.invalid', { errors: [{ path: '', code: 'http', message }] });
}

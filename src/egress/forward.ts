/**
 * Requests of plain http, as they are sent to a proxy: `GET http://host/path`. Each is judged by itself, also on a connection that was
 * kept, and each has a connection of its own to where it goes: nothing of one is ever taken for a part of another.
 */
import { request as askHttp, type ClientRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { pipeline } from 'node:stream/promises';
import { plainHost } from '../policy/plain-host.ts';
import { dial } from './dial.ts';
import { type Place, Refusal, Unresolved } from './guard.ts';
import type { ProxyContext } from './proxy.ts';
import { endToEnd, hostHeaders } from './words.ts';

const absolute = /^http:\/\/([A-Za-z0-9_.-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::([1-9][0-9]{0,4}))?([/?][!-"$-~]*)?$/i;
const refusedMethods: readonly string[] = ['CONNECT', 'TRACE'];

interface Target extends Place {
  readonly path: string;
}

export async function forward(
  request: IncomingMessage,
  response: ServerResponse,
  context: ProxyContext,
): Promise<void> {
  const gone = new AbortController();
  response.once('close', () => gone.abort());
  let target: Target | undefined;
  let server: Socket | undefined;
  try {
    target = targetOf(request);
    context.guard.schemesFor(target, ['http']);
    const addresses = await context.guard.addressesOf(target);
    server = await dial(addresses, target.port, gone.signal);
    server.setTimeout(context.limits.idleMs, () => server?.destroy());
    await exchange(request, response, target, server);
  } catch (error) {
    server?.destroy();
    refuse(error, request, response, target, context);
  }
}

function targetOf({ method = '', url = '', rawHeaders, headers }: IncomingMessage): Target {
  const [, given = '', digits = '80', path = '/'] = absolute.exec(url) ?? [];
  const [host, port] = [plainHost(given), Number(digits)];
  if (host === undefined || port > 65_535) {
    throw new Refusal('malformed', 'This is a proxy: it takes http://host/path, and CONNECT host:port for https.');
  }
  if (refusedMethods.includes(method)) throw new Refusal('malformed', `${method} is not carried out.`);
  const { 'transfer-encoding': coding } = headers;
  if (coding !== undefined && (coding.toLowerCase() !== 'chunked' || headers['content-length'] !== undefined)) {
    throw new Refusal('malformed', 'How long the request is cannot be told for sure.');
  }
  const named = hostHeaders(rawHeaders);
  if (named.length > 1 || !named.every((each) => isPlace(each, { host, port }))) {
    throw new Refusal('malformed', 'The Host of the request is another place than its URL.');
  }
  return { host, port, path: path.startsWith('?') ? `/${path}` : path };
}

function isPlace(text: string, { host, port }: Place): boolean {
  const [, name = '', digits = '80'] = /^(.*?)(?::([0-9]{1,5}))?$/.exec(text) ?? [];
  return plainHost(name) === host && Number(digits) === port;
}

async function exchange(
  request: IncomingMessage,
  response: ServerResponse,
  target: Target,
  server: Socket,
): Promise<void> {
  const sent = askHttp({
    // The connection that is there. What is said beside it is the same place, should it ever be asked for.
    ...{ createConnection: () => server, host: server.remoteAddress, port: target.port, setHost: false },
    ...{
      method: request.method,
      path: target.path,
      headers: headersFor(request, target).flat(),
      maxHeaderSize: 64 * 1024,
    },
  });
  const answer = answerOf(sent);
  const body = pipeline(request, sent);
  // An answer may come, and be whole, before all of the request was read.
  body.catch(() => undefined);
  const incoming = await answer;
  response.writeHead(incoming.statusCode ?? 502, incoming.statusMessage, endToEnd(incoming.rawHeaders).flat());
  await pipeline(incoming, response);
  if (!request.complete) response.socket?.destroy();
}

function answerOf(sent: ClientRequest): Promise<IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  sent.once('response', resolve);
  sent.on('error', reject);
  // A server that goes on in another protocol was not asked to.
  sent.once('upgrade', (_answer, socket) => socket.destroy());
  sent.once('close', () => reject(new Error('The connection was closed.')));
  return promise;
}

function headersFor({ rawHeaders, headers }: IncomingMessage, { host, port }: Target): [string, string][] {
  const kept = endToEnd(rawHeaders).filter(([name]) => name.toLowerCase() !== 'host');
  const isChunked = headers['transfer-encoding'] !== undefined;
  return [
    ['Host', port === 80 ? host : `${host}:${port}`],
    ...kept,
    ...(isChunked ? [['Transfer-Encoding', 'chunked'] as [string, string]] : []),
    ['Connection', 'close'],
  ];
}

function refuse(
  error: unknown,
  request: IncomingMessage,
  response: ServerResponse,
  target: Target | undefined,
  { refusals }: ProxyContext,
): void {
  if (error instanceof Refusal) {
    const { host = null, port = null } = target ?? {};
    refusals.note({ refused: error.reason, host, port, scheme: 'http', reason: error.message });
  }
  if (response.headersSent || response.destroyed) {
    response.destroy();
    return;
  }
  const status = error instanceof Refusal ? (error.reason === 'malformed' ? 400 : 403) : 502;
  const isOurs = error instanceof Refusal || error instanceof Unresolved;
  const text = `${isOurs ? error.message : 'The place cannot be connected to.'}\n`;
  // What is left of the request is read by nobody.
  response.shouldKeepAlive = false;
  response.writeHead(status, {
    ...{ 'content-type': 'text/plain; charset=utf-8', 'content-length': Buffer.byteLength(text), connection: 'close' },
  });
  response.end(text, () => request.complete || request.destroy());
}

/**
 * The gate's side towards its clients: from bytes on a socket to a parsed call, and from a failure to an answer.
 *
 * Node's strict parser takes the bytes apart; what it objects to ends the connection. A body is read to its end before
 * a handler runs, so no part of one request can be taken for the next. A connection has one call at a time: whoever
 * sends the next before the answer is cut off. Calls and streams at once are bounded (open-calls.ts).
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { AgentError, failures } from '../contract/failures.ts';
import { describeFailure, type GateFailure, sendJson } from './answers.ts';
import { announcesBody, BodyReader, drain } from './body.ts';
import type { GateContext } from './context.ts';
import { OpenCalls } from './open-calls.ts';
import { type Route, routes } from './routes.ts';
import { compileRoutes } from './routing.ts';
import { endRaw } from './streams.ts';
import { parseStrictJson } from './strict-json.ts';

const maxHeaderBytes = 32 * 1024;
const maxConnections = 512;
const requestTimeoutMs = 60_000;
const ignoredBodyBytes = 64 * 1024;
/** Bodies that are being read at once, all clients together. */
const bodyBudgetBytes = 128 * 1024 * 1024;
const findRoute = compileRoutes(routes);

export interface GateServer {
  readonly server: Server;
  /** Every open connection, those after a protocol switch included. */
  readonly sockets: ReadonlySet<Duplex>;
}

export function createGateServer(gate: GateContext): GateServer {
  const server = createServer({
    maxHeaderSize: maxHeaderBytes,
    headersTimeout: 10_000,
    // A tar may take as long as it is large; other bodies have a clock of their own.
    requestTimeout: 0,
    keepAliveTimeout: 60_000,
    // Never looser than this, whatever flags the process was started with. A Host header says nothing here.
    insecureHTTPParser: false,
    requireHostHeader: false,
    shouldUpgradeCallback: mayUpgrade,
  });
  server.maxConnections = maxConnections;
  const bodies = new BodyReader(bodyBudgetBytes);
  const calls = new OpenCalls();
  const sockets = new Set<Duplex>();
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    socket.on('error', (err) => gate.log.debug({ err }, 'client connection broke'));
  });

  /** No error of one call ends the process, not even one in telling of another. */
  const run = (served: Promise<void>): void => {
    served.catch((err: unknown) => gate.log.error({ err }, 'call failed, and its answer'));
  };
  /** The parser goes on to the end of what it has; a second request in it must not get so far as to be looked at. */
  const busy = new WeakMap<Duplex, ServerResponse>();
  const isTooEarly = (request: IncomingMessage): boolean => {
    const { socket } = request;
    if (socket.destroyed || socket.writableEnded) return true;
    const current = busy.get(socket);
    if (current === undefined) return false;
    // In the middle of an answer there is no room for another one.
    if (current.headersSent) socket.destroy();
    else endWith(socket, request, tooEarly(), gate);
    return true;
  };
  const serve = (request: IncomingMessage, response: ServerResponse): void => {
    const { socket } = request;
    if (isTooEarly(request)) return;
    busy.set(socket, response);
    response.once('close', () => busy.delete(socket));
    run(serveCall(request, response, { bodies, calls }, gate));
  };
  server.on('request', serve);
  server.on('checkContinue', serve);
  server.on('checkExpectation', serve);
  server.on('upgrade', (request, socket) => {
    if (!isTooEarly(request)) run(serveUpgrade(request, socket, { bodies, calls }, gate));
  });
  server.on('connect', (request, socket) => {
    if (!isTooEarly(request)) endWith(socket, request, refusal('method', 'CONNECT is refused'), gate);
  });
  server.on('clientError', (error, socket) => answerMalformed(error, socket, gate));
  server.on('drop', () => gate.log.warn({ count: maxConnections }, 'too many connections, one refused'));
  return { server, sockets };
}

/** What all calls share of the gate's memory and connections. */
interface Bounds {
  readonly bodies: BodyReader;
  readonly calls: OpenCalls;
}

async function serveCall(
  request: IncomingMessage,
  response: ServerResponse,
  { bodies, calls }: Bounds,
  gate: GateContext,
): Promise<void> {
  const client = new AbortController();
  response.once('close', () => {
    if (!response.writableFinished) client.abort();
  });
  try {
    if (request.httpVersion !== '1.1') throw refusal('protocol', 'only HTTP/1.1 is spoken');
    if (request.headers.upgrade !== undefined) throw refusal('upgrade', 'this call has no protocol to switch to');
    const { expect = '100-continue' } = request.headers;
    if (expect !== '100-continue') throw refusal('expect', 'nothing but 100-continue can be expected');
    const { route, params, query } = findRoute(request.method ?? '', request.url ?? '');
    await calls.run(route.isStream === true, async () => {
      const body = await inTime(request, gate, () => bodyFor(route, request, response, bodies));
      await route.handle({ params, query, body, request, response, signal: client.signal }, gate);
    });
  } catch (error) {
    if (client.signal.aborted) return;
    const failure = report(error, request, gate);
    if (response.headersSent) {
      // Cut off: an answer that ended well would look complete.
      response.destroy();
      return;
    }
    if (!request.complete) {
      response.setHeader('connection', 'close');
      if (announcesBody(request)) await drain(request);
      if (client.signal.aborted) return;
    }
    sendJson(response, failure.status, failure.body);
  }
}

async function serveUpgrade(
  request: IncomingMessage,
  socket: Duplex,
  { bodies, calls }: Bounds,
  gate: GateContext,
): Promise<void> {
  const client = new AbortController();
  socket.once('close', () => client.abort());
  // The server's own timeouts end at the switch.
  const late = setTimeout(() => socket.destroy(), requestTimeoutMs);
  try {
    const { route, params, query } = findRoute(request.method ?? '', request.url ?? '');
    await calls.run(true, async () => {
      const body = await bodyFor(route, request, null, bodies).finally(() => clearTimeout(late));
      await route.upgrade?.({ params, query, body, request, socket, signal: client.signal }, gate);
    });
  } catch (error) {
    clearTimeout(late);
    if (!client.signal.aborted) endWith(socket, request, error, gate);
  }
}

/** Decides before anything else is read whether a request that asks for a protocol switch is treated as one. */
function mayUpgrade({ method = '', url = '', headers }: IncomingMessage): boolean {
  if (headers.upgrade?.toLowerCase() !== 'tcp') return false;
  try {
    return findRoute(method, url).route.upgrade !== undefined;
  } catch {
    // Whatever is wrong with it is said when it is served as a plain request.
    return false;
  }
}

/** A client that takes too long over its body is told so, and cut off. */
async function inTime<T>(request: IncomingMessage, gate: GateContext, read: () => Promise<T>): Promise<T> {
  const message = `the body did not come within ${requestTimeoutMs} ms`;
  const late = setTimeout(() => endWith(request.socket, request, refusal('late', message), gate), requestTimeoutMs);
  return await read().finally(() => clearTimeout(late));
}

async function bodyFor(
  route: Route,
  request: IncomingMessage,
  response: ServerResponse | null,
  bodies: BodyReader,
): Promise<unknown> {
  if (route.body === 'none') {
    if (announcesBody(request)) throw refusal('body', 'this call has no body');
    return undefined;
  }
  if (route.body === 'stream') return undefined;
  const bytes = await bodies.read(request, response, route.body === 'ignored' ? ignoredBodyBytes : route.body);
  return route.body === 'ignored' ? undefined : parseStrictJson(bytes);
}

/** One line for each refusal, an error for what the gate was not written for, nothing for what is simply not there. */
function report(error: unknown, request: IncomingMessage, gate: GateContext) {
  const failure = describeFailure(error);
  const where = {
    method: request.method,
    route: routeText(request.url),
    status: failure.status,
    code: failure.body.code,
  };
  const { kind } = failures[failure.body.code];
  if (failure.body.code === 'internal') gate.log.error({ ...where, err: error }, 'call failed');
  else if (failure.status === 403) gate.log.warn({ ...where, kind, reason: reasonOf(failure.body) }, 'call refused');
  else gate.log.debug({ ...where, kind, reason: failure.body.message }, 'call not served');
  return failure;
}

function reasonOf({ errors, message }: GateFailure): string {
  const [first] = errors ?? [];
  return (first === undefined ? message : `${first.path} ${first.message}`.trim()).slice(0, 500);
}

/** The path alone, of bounded length: a query can hold what a log must not. */
function routeText(url = ''): string {
  return (url.split('?')[0] ?? '').slice(0, 200);
}

function endWith(socket: Duplex, request: IncomingMessage, error: unknown, gate: GateContext): void {
  const { status, body } = report(error, request, gate);
  endRaw(socket, status, body);
}

/** What Node's parser could not read: told once, and the connection ended. */
function answerMalformed(error: NodeJS.ErrnoException, socket: Duplex, gate: GateContext): void {
  const code = error.code ?? '';
  if (code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  gate.log.warn({ code, reason: error.message.slice(0, 200) }, 'malformed request refused');
  endRaw(socket, statusOfParserError[code] ?? 400, describeFailure(refusal('malformed', 'is not proper HTTP')).body);
}

/** Of headers that do not come in time, too. */
const statusOfParserError: Readonly<Record<string, number>> = {
  HPE_HEADER_OVERFLOW: 431,
  ERR_HTTP_REQUEST_TIMEOUT: 408,
};

function tooEarly(): AgentError {
  const reason = 'A connection takes one request at a time; the next one came before the answer.';
  return new AgentError('engine.unavailable', { state: 'busy', reason });
}

function refusal(code: string, message: string): AgentError {
  return new AgentError('policy.refused', { errors: [{ path: '', code, message }] });
}

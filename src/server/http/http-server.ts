/**
 * The HTTP server of the control plane: routes in, one envelope out.
 *
 * Before a route runs, the request has passed the origin check and its size limit; whatever goes wrong anywhere becomes
 * an answer here and nowhere else. Connections are plain or TLS; WebSocket upgrades are left to who listens for them.
 */
import type { IncomingHttpHeaders, Server, ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { Readable } from 'node:stream';
import { type FastifyInstance, type FastifyReply, type FastifyRequest, fastify } from 'fastify';
import { AgentError } from '../../contract/failures.ts';
import type { Log } from '../../kit/log.ts';
import { newId } from '../db/new-id.ts';
import type { Store } from '../db/store.ts';
import { AuditTrail } from './audit.ts';
import { type ConsoleFiles, pagePath, serveConsole } from './console-files.ts';
import { addressOf, Door, type DoorLimits } from './door.ts';
import { envelopeOf, statusOf } from './errors.ts';
import type { HttpMetrics } from './metrics.ts';
import { checkOrigin } from './origin.ts';
import type { RateLimits } from './rate-limits.ts';
import { RequestLog, templateOf } from './request-log.ts';
import type { Route, Streamed, Who } from './route.ts';
import { type Answer, runRoute } from './run-route.ts';
import { UnderWay } from './under-way.ts';
import { answerUnreadable } from './unreadable.ts';

export interface HttpOptions {
  readonly store: Store;
  readonly log: Log;
  readonly now: () => number;
  readonly routes: readonly Route[];
  /** Host names that it answers to beside those of the loopback interface. */
  readonly hostNames: readonly string[];
  readonly metrics: HttpMetrics;
  readonly limits: RateLimits;
  /** What `/` shows, loaded when it is first asked for; undefined where there is no console. */
  readonly console?: () => Promise<ConsoleFiles>;
  readonly tls?: { readonly cert: string; readonly key: string };
  /** Connections on which nobody has proven yet who they are. */
  readonly strangers?: DoorLimits;
  /** For tests: shorter than anybody would want it. */
  readonly patience?: Patience;
  /** Judges every answer by its own schema; for tests. */
  readonly checkAnswers?: boolean;
}

/** How long a connection may take, in milliseconds. */
interface Patience {
  /** From its begin to the end of its TLS handshake. */
  readonly handshakeMs: number;
  /** From the begin of a request to the end of its headers. */
  readonly headersMs: number;
  /** From the begin of a request to the end of its body. */
  readonly requestMs: number;
  /** How often that is looked at. */
  readonly checkMs: number;
  /** For which its client takes nothing of an answer that waits for it. */
  readonly unreadMs: number;
}

const usualPatience: Patience = {
  ...{ handshakeMs: 10_000, headersMs: 10_000, requestMs: 30_000, checkMs: 5000 },
  unreadMs: 60_000,
};

export interface HttpServer {
  /** For WebSocket upgrades. */
  readonly server: Server;
  /** Where whoever upgrades a connection says that its other side is known. */
  readonly door: Door;
  listen(host: string, port: number): Promise<AddressInfo>;
  /**
   * Takes no more requests, ends streams, lets requests at work end for so long, and closes all connections. False where some
   * were cut off.
   */
  close(patienceMs?: number): Promise<boolean>;
}

const defaultBodyLimit = 64 * 1024;

export function createHttpServer(options: HttpOptions): HttpServer {
  const stopping = new AbortController();
  const { handshakeMs, headersMs, requestMs, checkMs, unreadMs } = options.patience ?? usualPatience;
  const http = {
    ...{ headersTimeout: headersMs, requestTimeout: requestMs, connectionsCheckingInterval: checkMs },
    // Judged with its origin, and answered like that.
    requireHostHeader: false,
  };
  /** Newest answer of each connection. */
  const answers = new WeakMap<Socket, ServerResponse>();
  const requests = new RequestLog(options.log);
  const app = fastify({
    ...(options.tls ? { https: { ...options.tls, ...http, handshakeTimeout: handshakeMs } } : { http }),
    logger: false,
    bodyLimit: defaultBodyLimit,
    requestTimeout: requestMs,
    // Those that are at work are waited for, and closed here.
    forceCloseConnections: 'idle',
    routerOptions: { maxParamLength: 200, ignoreTrailingSlash: false },
    genReqId: (request) => correlationIdOf(request.headers, options.now()),
    return503OnClosing: true,
    // For an address that cannot be read no hook is called.
    frameworkErrors: (error: unknown, request: FastifyRequest, reply: FastifyReply) =>
      void answerFailure(error, request, reply.headers({ ...headersOf(request), connection: 'close' }), {
        ...options,
        requests,
      }),
    clientErrorHandler: (error, socket) =>
      answerUnreadable(error, socket, answers.get(socket), headersOf({ id: newId(options.now()) })),
  }) as unknown as FastifyInstance;
  acceptBodies(app);
  const underWay = new UnderWay();
  const door = new Door(options.strangers);
  door.watch(app.server);
  app.addHook('onRequest', async (request, reply) => {
    answers.set(request.raw.socket, reply.raw);
    underWay.begin(reply.raw);
    dropUnread(reply.raw, unreadMs);
    reply.headers(headersOf(request));
    checkOrigin(request.headers, options.hostNames, request.routeOptions.url === pagePath);
  });
  app.addHook('onSend', async (request, reply) => {
    // Nobody comes in by waiting: a stranger's connection ends with its answer.
    if (door.isStranger(request.raw.socket)) reply.header('connection', 'close');
  });
  app.addHook('onResponse', async (request, reply) => {
    options.metrics.observe(request.method, templateOf(request), reply.statusCode, reply.elapsedTime);
    requests.write(request, reply);
  });
  app.setNotFoundHandler(async (request) => {
    options.limits.count('address', `${addressOf(request.raw.socket)} nowhere`);
    throw new AgentError('resource.not_found', { reason: `Nothing answers ${request.method} at this address.` });
  });
  app.setErrorHandler(async (error, request, reply) => answerFailure(error, request, reply, { ...options, requests }));
  serveConsole(app, options.console, options.limits);
  const audit = new AuditTrail({ ...options, unwritten: options.metrics.unwrittenRefusals });
  for (const route of options.routes) {
    mount(app, route, { ...options, door, audit, underWay, requests }, stopping.signal);
  }

  return {
    ...{ server: app.server, door },
    listen: async (host, port) => {
      await app.listen({ host, port });
      return app.server.address() as AddressInfo;
    },
    close: async (patienceMs = 0) => {
      stopping.abort();
      const closed = app.close();
      const isOver = await underWay.over(patienceMs);
      door.close();
      app.server.closeAllConnections();
      await closed;
      return isOver;
    },
  };
}

/** Silence of our own, as of a stream about which nothing happens, drops nobody. */
function dropUnread(answer: ServerResponse, ms: number): void {
  answer.setTimeout(ms, () => {
    if (answer.writableLength > 0) answer.destroy();
  });
}

/** Of every answer. */
function headersOf({ id }: Pick<FastifyRequest, 'id'>) {
  return { 'x-correlation-id': id, 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' };
}

const fileType = 'application/octet-stream';

function isFile(config: object): boolean {
  return (config as { readonly isFile?: boolean }).isFile === true;
}

/** Bodies stay bytes until the schema of their route reads them. */
function acceptBodies(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (request, body, done) =>
    done(unlessTaken(!isFile(request.routeOptions.config)), body),
  );
  app.addContentTypeParser(fileType, (request, body, done) =>
    done(unlessTaken(isFile(request.routeOptions.config)), body),
  );
}

function unlessTaken(isTaken: boolean): Error | null {
  return isTaken ? null : Object.assign(new Error('no such body is taken here'), { statusCode: 415 });
}

interface Mounted {
  readonly door: Door;
  readonly audit: AuditTrail;
  readonly underWay: UnderWay;
  readonly requests: RequestLog;
}

function mount(app: FastifyInstance, route: Route, options: HttpOptions & Mounted, stopping: AbortSignal): void {
  app.route({
    method: route.method,
    url: route.path.replaceAll(/\{(\w+)\}/g, ':$1'),
    bodyLimit: route.bodyLimit ?? defaultBodyLimit,
    exposeHeadRoute: false,
    config: { isFile: route.file === true },
    handler: async (request, reply) => {
      if (route.stream) options.underWay.isStream(reply.raw);
      const gone = new AbortController();
      reply.raw.once('close', () => gone.abort());
      const raw = {
        ...{ method: request.method, url: request.url, headers: request.headers, correlationId: request.id },
        ...{
          params: request.params,
          query: request.query,
          body: (request.body as Buffer | Readable | undefined) ?? (route.file ? Readable.from([]) : Buffer.alloc(0)),
        },
        remote: request.raw.socket.remoteAddress ?? '',
        // What is not a stream is let end.
        signal: route.stream ? AbortSignal.any([gone.signal, stopping]) : gone.signal,
      };
      const { store, audit, checkAnswers = false } = options;
      const { door, limits, requests } = options;
      const onKnown = ({ tokenId }: Who) => {
        door.letIn(request.raw.socket);
        limits.count('token', tokenId);
        requests.note(request, { actor: tokenId });
      };
      if (route.allow === 'anyone') limits.count('address', `${addressOf(request.raw.socket)} ${route.path}`);
      const ground = { store, now: options.now(), clock: options.now, checkAnswers, audit, onKnown };
      // What nobody wants of a file any more stands before the next request on its connection.
      const answer = await runRoute(route, raw, ground).finally(() => route.file && request.raw.resume());
      if ('contentType' in answer && answer.isKnown) door.letIn(request.raw.socket);
      return send(reply, answer);
    },
  });
}

function send(reply: FastifyReply, answer: Answer | Streamed): FastifyReply {
  if ('contentType' in answer) {
    const { status = 200, headers = {}, contentType, body } = answer;
    return reply
      .code(status)
      .headers({ ...headers, 'content-type': contentType })
      .send(body);
  }
  if (answer.replayed) {
    reply.header('idempotency-replayed', 'true');
  }
  return reply
    .code(answer.status)
    .headers(answer.headers ?? {})
    .header('content-type', 'application/json; charset=utf-8')
    .send(JSON.stringify(answer.body));
}

function answerFailure(
  error: unknown,
  request: FastifyRequest,
  reply: FastifyReply,
  { log, limits, requests }: Pick<HttpOptions, 'log' | 'limits'> & { readonly requests: RequestLog },
): FastifyReply {
  const failure = limited(failureOf(error, request.routeOptions), request, limits);
  const status = statusOf(failure.code);
  requests.note(request, { code: failure.code });
  if (status >= 500) {
    const { method, id: trace_id } = request;
    log.error({ err: error, method, route: templateOf(request), trace_id, code: failure.code }, 'request failed');
  }
  return reply
    .code(status)
    .headers(headersFor(failure, status))
    .header('content-type', 'application/json; charset=utf-8')
    .send(JSON.stringify(envelopeOf(failure, request.id)));
}

function headersFor({ detail }: AgentError, status: number): Record<string, string> {
  if (status === 401) return { 'www-authenticate': 'Bearer' };
  const seconds = detail['retry_after_seconds'];
  return seconds === undefined ? {} : { 'retry-after': String(seconds) };
}

/** Who proved nothing so often that it looks like trying is told that instead. */
function limited(failure: AgentError, request: FastifyRequest, limits: RateLimits): AgentError {
  if (statusOf(failure.code) !== 401) return failure;
  try {
    limits.count('failed', addressOf(request.raw.socket));
    return failure;
  } catch (error) {
    return error as AgentError;
  }
}

/** What the HTTP library refuses by itself becomes one of our codes; anything unforeseen says nothing of its cause. */
function failureOf(error: unknown, { bodyLimit, config }: FastifyRequest['routeOptions']): AgentError {
  if (error instanceof AgentError) {
    return error;
  }
  const { statusCode } = error as { statusCode?: number };
  if (statusCode === 413) {
    return new AgentError('request.too_large', { reason: `It accepts ${bodyLimit ?? defaultBodyLimit} bytes.` });
  }
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500) {
    const message =
      statusCode === 415
        ? `must be ${isFile(config) ? fileType : 'application/json'}`
        : 'is not a request that can be read';
    return new AgentError('request.invalid', { errors: [{ path: '', code: 'http', message }] });
  }
  return new AgentError('internal', {}, { cause: error });
}

/** The client's own, if it is harmless; else a new one. */
function correlationIdOf(headers: IncomingHttpHeaders, now: number): string {
  const given = headers['x-correlation-id'];
  return typeof given === 'string' && /^[a-zA-Z0-9-]{1,64}$/.test(given) ? given : newId(now);
}

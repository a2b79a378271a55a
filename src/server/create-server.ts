/** Starts the control plane on an open store: routes, HTTP server, sweeping of what is old. */
import type { ServerContext } from './context.ts';
import { createHttpServer, type HttpServer } from './http/http-server.ts';
import { createMetrics } from './http/metrics.ts';
import { routesOf } from './routes.ts';

export interface StartOptions {
  readonly context: ServerContext;
  readonly version: string;
  readonly tls?: { readonly cert: string; readonly key: string };
  /** Judges every answer by its own schema; for tests. */
  readonly checkAnswers?: boolean;
}

/** Everything is wired and nothing listens yet: `listen` is the caller's. */
export function createServer({ context, version, tls, checkAnswers = false }: StartOptions): HttpServer {
  const metrics = createMetrics();
  const { store, log, now, settings } = context;
  return createHttpServer({
    ...{ store, log, now, metrics, checkAnswers },
    routes: routesOf(context, metrics, version),
    hostNames: [new URL(settings.publicUrl).hostname],
    ...(tls ? { tls } : {}),
  });
}

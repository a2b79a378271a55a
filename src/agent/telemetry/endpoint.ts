/**
 * Metrics and health over HTTP, on 127.0.0.1 only: `/metrics`, `/healthz` and `/readyz`.
 *
 * There is nothing in here that a user of the host could not see with `ps`, and nothing can be changed, so there are no
 * credentials. A page in somebody's browser gets nothing: the name it was asked by must be a local one.
 */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Log } from '../../kit/log.ts';
import type { AgentStatus } from '../local-api/agent-status.ts';
import { expositionType, type Family, renderFamilies } from './exposition.ts';
import { readinessOf } from './readiness.ts';

export interface EndpointOptions {
  /** 0 lets the system choose. */
  readonly port: number;
  readonly status: () => AgentStatus;
  readonly families: () => readonly Family[];
  readonly log: Log;
}

export interface Endpoint {
  readonly port: number;
  close(): void;
}

const maxConnections = 32;
/** For the head of a request, and for all of it. */
const patienceMs = 10_000;

/** Undefined where nobody can listen there: an agent without metrics is better than none. */
export async function serveEndpoint(options: EndpointOptions): Promise<Endpoint | undefined> {
  const { port, log } = options;
  const server = createServer((request, response) => answer(options, request, response));
  // Every user of the host can connect, and the agent needs its file descriptors for other things.
  server.maxConnections = maxConnections;
  server.requestTimeout = server.headersTimeout = patienceMs;
  try {
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
  } catch (err) {
    log.error({ err, port }, 'metrics and health are not served');
    return undefined;
  }
  return {
    port: (server.address() as AddressInfo).port,
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

const localName = /^(127\.0\.0\.1|localhost|\[::1\])(:\d+)?$/;

function answer({ status, families }: EndpointOptions, request: IncomingMessage, response: ServerResponse): void {
  const send = (code: number, type: string, text: string) =>
    void response.writeHead(code, { 'content-type': type, 'cache-control': 'no-store' }).end(text);
  if (!localName.test(request.headers.host ?? '')) {
    send(421, 'text/plain', 'Ask by a local name.\n');
  } else if (request.method !== 'GET' && request.method !== 'HEAD') {
    send(405, 'text/plain', 'Only GET.\n');
  } else if (request.url === '/metrics') {
    send(200, expositionType, renderFamilies(families()));
  } else if (request.url === '/healthz') {
    // That it is answered is the whole proof: the event loop turns.
    send(200, 'application/json', '{"healthy":true}\n');
  } else if (request.url === '/readyz') {
    const readiness = readinessOf(status());
    send(readiness.ready ? 200 : 503, 'application/json', `${JSON.stringify(readiness)}\n`);
  } else {
    send(404, 'text/plain', 'Here are /metrics, /healthz and /readyz.\n');
  }
}

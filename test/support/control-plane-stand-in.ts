/** An HTTP server on the loopback address that answers as a test says and remembers what it was asked. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';

export interface Asked {
  readonly path: string;
  readonly authorization: string | undefined;
  readonly body: unknown;
}

export interface StandIn {
  readonly origin: string;
  readonly server: Server;
  readonly asked: Asked[];
  close(): Promise<void>;
}

export type Answering = (asked: Asked, response: ServerResponse) => void;

export async function standIn(answer: Answering, tls?: { key: string; cert: string }): Promise<StandIn> {
  const asked: Asked[] = [];
  const listen = async (request: IncomingMessage, response: ServerResponse) => {
    const { url = '', headers } = request;
    const question = { path: url, authorization: headers.authorization, body: await json(request) };
    asked.push(question);
    answer(question, response);
  };
  const server = tls ? createTlsServer(tls, listen) : createServer(listen);
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    ...{ origin: `${tls ? 'https' : 'http'}://127.0.0.1:${port}`, server, asked },
    close: async () => {
      server.closeAllConnections();
      await new Promise((closed) => server.close(closed));
    },
  };
}

export function answerJson(response: ServerResponse, status: number, value: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
}

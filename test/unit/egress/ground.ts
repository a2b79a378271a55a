/** A proxy, places that count who comes, and clients that write what they like. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { JobEgress } from '../../../src/contract/job-egress.ts';
import { type ProxyOptions, startProxy } from '../../../src/egress/proxy.ts';

export interface Place {
  readonly port: number;
  readonly server: Server;
  /** Connections that came. */
  readonly came: () => number;
  /** All that was received. */
  readonly heard: () => string;
}

const opened: { close(): Promise<unknown> | unknown }[] = [];

/** Answers each connection by `serve`. */
export async function openPlace(serve: (socket: Socket) => void = (socket) => socket.resume()): Promise<Place> {
  let connections = 0;
  let heard = '';
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    connections += 1;
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('data', (part) => {
      if (heard.length < 100_000) heard += part.toString('latin1');
    });
    serve(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const close = () => {
    for (const socket of sockets) socket.destroy();
    server.close();
  };
  opened.push({ close });
  return { port: (server.address() as AddressInfo).port, server, came: () => connections, heard: () => heard };
}

/** A server of http that says `text` and closes. */
export function saying(text: string): (socket: Socket) => void {
  const answer = `HTTP/1.1 200 OK\r\nContent-Length: ${text.length}\r\nConnection: close\r\n\r\n${text}`;
  return (socket) => socket.once('data', () => socket.end(answer));
}

export interface OpenedProxy {
  readonly port: number;
  /** What was refused, as it stands in the log. */
  readonly refused: { refused: string; host: string | null; port: number | null; reason: string }[];
}

export async function openProxy(
  egress: Partial<JobEgress>,
  options: Partial<Omit<ProxyOptions, 'egress'>> = {},
): Promise<OpenedProxy> {
  const refused: OpenedProxy['refused'] = [];
  const proxy = await startProxy({
    ...{ allow: ['127.0.0.0/8'], resolve: async () => ['127.0.0.1'], host: '127.0.0.1', port: 0 },
    write: (line) => refused.push(JSON.parse(line)),
    ...options,
    egress: { rules: [], any_public: [], ...egress },
  });
  opened.push(proxy);
  return { port: proxy.port, refused };
}

export async function closeAll(): Promise<void> {
  for (const each of opened.splice(0)) await each.close();
}

/** Writes, and resolves with all that comes until the other side closes; or until `until` was seen. */
export async function say(port: number, text: string | Buffer, until?: string): Promise<string> {
  const socket = connect({ host: '127.0.0.1', port });
  socket.on('error', () => undefined);
  socket.write(text);
  const answer = await read(socket, until);
  socket.destroy();
  return answer;
}

export async function read(socket: Socket, until?: string): Promise<string> {
  let text = '';
  const { promise, resolve } = Promise.withResolvers<void>();
  const onData = (part: Buffer) => {
    text += part.toString('latin1');
    if (until !== undefined && text.includes(until)) resolve();
  };
  socket.on('data', onData);
  socket.once('end', resolve);
  socket.once('close', resolve);
  await promise;
  socket.off('data', onData);
  return text;
}

/** A connection through which CONNECT was granted. */
export async function openTunnel(proxy: number, place: string): Promise<Socket> {
  const socket = connect({ host: '127.0.0.1', port: proxy, allowHalfOpen: true });
  socket.on('error', () => undefined);
  socket.write(`CONNECT ${place} HTTP/1.1\r\nHost: ${place}\r\n\r\n`);
  const answer = await read(socket, '\r\n\r\n');
  if (!answer.startsWith('HTTP/1.1 200')) throw new Error(answer);
  return socket;
}

/** What a client of TLS says first. */
export async function clientHello(servername: string | undefined): Promise<Buffer> {
  const place = await openPlace();
  const { promise, resolve } = Promise.withResolvers<Buffer>();
  place.server.once('connection', (socket) => socket.once('data', resolve));
  const client = connectTls({
    ...{ host: '127.0.0.1', port: place.port, rejectUnauthorized: false },
    ...(servername !== undefined && { servername }),
  });
  client.on('error', () => undefined);
  const hello = await promise;
  client.destroy();
  return hello;
}

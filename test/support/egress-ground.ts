/**
 * A world outside for jobs with a list of addresses: hosts of this machine at addresses that no other test uses, with servers that count
 * who comes, and a name server that knows them.
 */
import { execFileSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer as createHttp } from 'node:http';
import { createServer as createHttps } from 'node:https';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { certificate } from './certificate.ts';

export interface Outside {
  /** Where `open.example` is: jobs may be let through to it. */
  readonly open: string;
  /** Where nobody may come. */
  readonly closed: string;
  /** Connections, datagrams and requests that came, by address and port: `10.1.1.2:80/tcp`. */
  readonly came: ReadonlyMap<string, number>;
  /** Names that were asked for. */
  readonly asked: string[];
  close(): Promise<void>;
}

const piece = Buffer.alloc(2 ** 20);

/** `range`: the first three numbers of the addresses. */
export async function openOutside(range: string): Promise<Outside> {
  const [open, closed] = [`${range}.1`, `${range}.2`];
  for (const address of [open, closed]) ip('add', address);
  const came = new Map<string, number>();
  const count = (place: string) => void came.set(place, (came.get(place) ?? 0) + 1);
  const asked: string[] = [];
  const folder = mkdtempSync(join(tmpdir(), 'gpuaas-outside-'));
  const servers: { close(): unknown }[] = [];
  const listen = async (server: ReturnType<typeof createServer>, host: string, port: number) => {
    server.on('connection', () => count(`${host}:${port}/tcp`));
    server.listen(port, host);
    await once(server, 'listening');
    servers.push(server);
  };

  const answer = createHttp((request, response) => {
    count(`${open}:80${request.url}`);
    if (request.url === '/stream') {
      void pipeline(Readable.from(Array.from({ length: 512 }, () => piece)), response).catch(() => undefined);
      return;
    }
    if (request.url === '/away') response.writeHead(302, { location: `http://${closed}/` });
    response.end('allowed');
  });
  const secure = createHttps(certificate(folder), (_request, response) => response.end('allowed'));
  await listen(answer, open, 80);
  await listen(secure, open, 443);
  for (const port of [22, 80, 443])
    await listen(
      createServer((socket) => socket.end('inside')),
      closed,
      port,
    );
  const names: Record<string, () => string> = {
    'open.example': () => open,
    'closed.example': () => closed,
    'metadata.example': () => '169.254.169.254',
    // Public, as it seems, when it is looked at; not, when it is connected to.
    'changing.example': () => (asked.filter((name) => name === 'changing.example').length % 2 === 1 ? open : closed),
  };
  for (const host of [open, closed]) {
    const server = createSocket('udp4');
    server.on('message', (question, { port, address }) => {
      count(`${host}:53/udp`);
      if (host === open) server.send(replyTo(question, names, asked), port, address);
    });
    server.bind(53, host);
    await once(server, 'listening');
    servers.push(server);
  }
  return {
    ...{ open, closed, came, asked },
    close: async () => {
      for (const server of servers) server.close();
      for (const address of [open, closed]) ip('del', address);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function ip(action: 'add' | 'del', address: string): void {
  execFileSync('ip', ['address', action, `${address}/32`, 'dev', 'lo']);
}

const headerBytes = 12;

function replyTo(question: Buffer, names: Readonly<Record<string, () => string>>, asked: string[]): Buffer {
  const labels: string[] = [];
  let at = headerBytes;
  for (let length = question[at] ?? 0; length > 0; length = question[at] ?? 0) {
    labels.push(question.toString('latin1', at + 1, at + 1 + length));
    at += 1 + length;
  }
  const end = at + 5;
  const name = labels.join('.').toLowerCase();
  const isA = question.readUInt16BE(at + 1) === 1;
  if (isA) asked.push(name);
  const address = names[name];
  const reply = Buffer.from(question.subarray(0, end));
  reply.writeUInt16BE(address ? 0x8180 : 0x8183, 2);
  reply.writeUInt16BE(address && isA ? 1 : 0, 6);
  reply.writeUInt32BE(0, 8);
  if (!address || !isA) return reply;
  const record = Buffer.from([0xc0, headerBytes, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, ...address().split('.').map(Number)]);
  return Buffer.concat([reply, record]);
}

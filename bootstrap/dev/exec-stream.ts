/** One program in a running container, with stdin, and stdout and stderr apart: what the engine's exec needs a raw stream for. */
import { once } from 'node:events';
import { request } from 'node:http';
import type { Socket } from 'node:net';
import type { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { askEngine } from './engine-api.ts';

/** What is run, and what its streams are tied to. */
export interface StreamedExec {
  readonly command: readonly string[];
  readonly user?: string | undefined;
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** Without it, stdin is at its end at once. */
  readonly stdin?: Readable | undefined;
  readonly stdout: Writable;
  readonly stderr: Writable;
}

/** Runs it to its end and gives its exit code; all it wrote has then been written on. */
export async function streamExec(socketPath: string, container: string, exec: StreamedExec): Promise<number> {
  const { Id } = await askEngine<{ Id: string }>({
    ...{ socketPath, method: 'POST', path: `/containers/${container}/exec` },
    body: {
      ...{ AttachStdin: exec.stdin !== undefined, AttachStdout: true, AttachStderr: true, Cmd: exec.command },
      ...{ User: exec.user, Env: Object.entries(exec.env ?? {}).map(([name, value]) => `${name}=${value}`) },
    },
  });
  const { socket, head } = await upgraded(socketPath, `/exec/${Id}/start`);
  const sent = exec.stdin === undefined ? Promise.resolve() : send(exec.stdin, socket);
  await receive(socket, head, exec);
  socket.destroy();
  await sent;
  return (await askEngine<{ ExitCode: number }>({ socketPath, method: 'GET', path: `/exec/${Id}/json` })).ExitCode;
}

async function upgraded(socketPath: string, path: string): Promise<{ readonly socket: Socket; readonly head: Buffer }> {
  const body = JSON.stringify({ Detach: false, Tty: false });
  const headers = {
    ...{ 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) },
    ...{ connection: 'Upgrade', upgrade: 'tcp' },
  };
  const outgoing = request({ socketPath, method: 'POST', path, headers });
  outgoing.end(body);
  return await new Promise((resolve, reject) => {
    outgoing.once('error', reject);
    outgoing.once('response', ({ statusCode }) => reject(new Error(`${path} answered ${statusCode}`)));
    outgoing.once('upgrade', (_, socket, head) => resolve({ socket: socket as Socket, head }));
  });
}

/** A program that ends without reading all of it closes the stream, and that is no failure. */
async function send(stdin: Readable, socket: Socket): Promise<void> {
  await pipeline(stdin, socket).catch((error: NodeJS.ErrnoException) => {
    if (!['EPIPE', 'ECONNRESET', 'ERR_STREAM_PREMATURE_CLOSE', 'ERR_STREAM_DESTROYED'].includes(error.code ?? '')) {
      throw error;
    }
  });
}

/** Frames of the engine: one byte that names the stream, three of nothing, four of length, and that many bytes. */
async function receive(socket: Socket, head: Buffer, { stdout, stderr }: StreamedExec): Promise<void> {
  let rest = head;
  const take = async () => {
    while (rest.length >= 8 && rest.length >= 8 + rest.readUInt32BE(4)) {
      const end = 8 + rest.readUInt32BE(4);
      const target = rest[0] === 2 ? stderr : stdout;
      if (!target.write(rest.subarray(8, end))) await once(target, 'drain');
      rest = rest.subarray(end);
    }
  };
  await take();
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    rest = Buffer.concat([rest, chunk]);
    await take();
  }
}

/** A Jupyter server as a browser uses it: HTTP with the token of its address, kernels over WebSocket. */
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { vi } from 'vitest';
import { WebSocket } from 'ws';

export interface Notebook {
  /** Status of a GET, with the token or with another one. */
  status(path: string, token?: string): Promise<number>;
  /** Begins a kernel and connects to its channels. */
  kernel(): Promise<Kernel>;
}

export interface Kernel {
  /** Where its channels are, without the token. */
  readonly channels: URL;
  /** Runs code in it; resolves with what it printed, or rejects with the error that it raised. */
  run(code: string): Promise<string>;
  close(): void;
}

interface Message {
  readonly channel: string;
  readonly parent_header: { readonly msg_id?: string };
  readonly header: { readonly msg_type: string };
  readonly content: Readonly<Record<string, string | undefined>>;
}

export function notebookAt(origin: string, ownToken: string): Notebook {
  const address = (path: string, token = ownToken) => new URL(`${path}?token=${token}`, origin);
  return {
    status: async (path, token) => (await fetch(address(path, token), { redirect: 'manual' })).status,
    kernel: async () => {
      const answer = await fetch(address('/api/kernels'), { method: 'POST', body: '{"name":"python3"}' });
      if (answer.status !== 201) throw new Error(`no kernel: ${answer.status} ${await answer.text()}`);
      const { id } = (await answer.json()) as { id: string };
      return await connectTo(address(`/api/kernels/${id}/channels`), origin);
    },
  };
}

/** Status with which a WebSocket is refused; undefined where it is not. */
export async function refusalOf(url: URL, origin: string): Promise<number | undefined> {
  const socket = new WebSocket(url, { origin });
  const { promise, resolve, reject } = Promise.withResolvers<number | undefined>();
  socket.on('open', () => resolve(undefined));
  socket.on('unexpected-response', (_request, { statusCode }) => resolve(statusCode));
  socket.on('error', reject);
  try {
    return await promise;
  } finally {
    socket.terminate();
  }
}

async function connectTo(url: URL, origin: string): Promise<Kernel> {
  url.protocol = 'ws:';
  const socket = new WebSocket(url, { origin });
  await once(socket, 'open');
  await heard(socket);
  return {
    channels: new URL(url.pathname, url),
    run: (code) => execute(socket, code),
    close: () => socket.terminate(),
  };
}

/**
 * Resolves when what the kernel publishes arrives here. The connection is open before that, and what is published in between
 * is lost; so a kernel is asked who it is until one hears it at work, as browsers do.
 */
async function heard(socket: WebSocket): Promise<void> {
  let hears = false;
  const listen = (data: Buffer) => {
    hears ||= (JSON.parse(data.toString()) as Message).channel === 'iopub';
  };
  socket.on('message', listen);
  const ask = () => {
    if (!hears) socket.send(JSON.stringify(request('kernel_info_request')));
    return hears;
  };
  await vi.waitUntil(ask, { timeout: 60_000, interval: 250 });
  socket.off('message', listen);
}

function request(msg_type: string, content: object = {}, msg_id: string = randomUUID()) {
  return {
    header: { msg_id, msg_type, username: '', session: msg_id, date: '', version: '5.3' },
    ...{ channel: 'shell', parent_header: {}, metadata: {}, buffers: [] },
    content,
  };
}

/** The request is answered by what is printed, and by an `idle` when all of that was sent. */
async function execute(socket: WebSocket, code: string): Promise<string> {
  const id = randomUUID();
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  let printed = '';
  const listen = (data: Buffer) => {
    const { parent_header, header, content } = JSON.parse(data.toString()) as Message;
    if (parent_header.msg_id !== id) return;
    if (header.msg_type === 'stream') printed += content['text'];
    if (header.msg_type === 'error') reject(new Error(`${content['ename']}: ${content['evalue']}`));
    if (header.msg_type === 'status' && content['execution_state'] === 'idle') resolve(printed);
  };
  const broken = () => reject(new Error('the connection to the kernel is gone'));
  socket.on('message', listen).on('close', broken);
  const content = { code, silent: false, store_history: false, user_expressions: {}, allow_stdin: false };
  socket.send(JSON.stringify(request('execute_request', content, id)));
  try {
    return await promise;
  } finally {
    socket.off('message', listen).off('close', broken);
  }
}

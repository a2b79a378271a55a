/** A socket before a real podman that remembers what passes, and can have it say that it is another engine. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import { text } from 'node:stream/consumers';
import { callEngine, type EngineCall } from '../../bootstrap/dev/engine-api.ts';

/** One call that reached the engine. */
export interface PassedCall {
  readonly method: string;
  /** Without the version of the API and without the query. */
  readonly path: string;
  readonly sent: string;
  readonly status: number;
  readonly answer: string;
}

export interface PodmanFront {
  readonly socketPath: string;
  readonly calls: PassedCall[];
  /** Which engine answers. */
  target: string;
  /** From now on nothing in an answer names podman. */
  isDisguised: boolean;
  close(): Promise<void>;
}

/** Answers come whole: no call of these tests lasts. */
export async function startPodmanFront(socketPath: string, engineSocket: string): Promise<PodmanFront> {
  const server = createServer(async (incoming, outgoing) => {
    const sent = await text(incoming);
    const [method, url] = [incoming.method as EngineCall['method'], incoming.url ?? ''];
    const body = sent === '' ? {} : { body: JSON.parse(sent) };
    const { status, text: answer } = await callEngine({ socketPath: front.target, method, path: url, ...body });
    const path = url.replace(/^\/v[0-9.]+/, '').replace(/\?.*/, '');
    front.calls.push({ method, path, sent, status, answer });
    outgoing.writeHead(status, answer === '' ? {} : { 'content-type': 'application/json' });
    outgoing.end(front.isDisguised ? answer.replaceAll('Podman', 'Some') : answer);
  });
  const front: PodmanFront = {
    ...{ socketPath, calls: [], target: engineSocket, isDisguised: false },
    close: async () => {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
  await once(server.listen(socketPath), 'listening');
  return front;
}

/** One plain call to the real engine, past the gate: how tests look at what is really there. */

import type { IncomingMessage } from 'node:http';
import { request } from 'node:http';
import { json, text } from 'node:stream/consumers';

export interface EngineAnswer<T> {
  readonly status: number;
  readonly body: T;
}

export async function engineCall<T = unknown>(
  socketPath: string,
  method: string,
  path: string,
  body?: unknown,
): Promise<EngineAnswer<T>> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const call = request({ socketPath, method, path, headers: { 'content-type': 'application/json' } }, resolve);
  call.setTimeout(60_000, () => call.destroy(new Error(`the engine did not answer ${method} ${path}`)));
  call.once('error', reject);
  call.end(body === undefined ? undefined : JSON.stringify(body));

  const response = await promise;
  const isJson = response.headers['content-type']?.startsWith('application/json') ?? false;
  const answer = isJson ? await json(response) : await text(response);
  return { status: response.statusCode ?? 0, body: answer as T };
}

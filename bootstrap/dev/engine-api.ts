/**
 * The few calls of the container engine's HTTP API that the development ground makes itself.
 *
 * It needs no engine client on the machine, and none of the agent's code: the agent is what stands on this ground.
 */
import { type ClientRequest, type IncomingMessage, request } from 'node:http';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

/** What the engine answered, whole. */
export interface EngineAnswer {
  readonly status: number;
  readonly text: string;
}

/** One call to an engine. */
export interface EngineCall {
  readonly socketPath: string;
  readonly method: 'GET' | 'POST' | 'DELETE' | 'HEAD';
  /** Path with query, as the engine's API reference writes it, without a version. */
  readonly path: string;
  readonly body?: unknown;
  readonly stream?: Readable;
  readonly headers?: Readonly<Record<string, string>>;
  /** Seconds without a byte from the engine until the call fails. */
  readonly idleSeconds?: number;
}

/** Makes one call and reads the whole answer, whatever its status. */
export async function callEngine(call: EngineCall): Promise<EngineAnswer> {
  const json = call.body === undefined ? undefined : JSON.stringify(call.body);
  const headers = {
    ...call.headers,
    ...(json === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(json) }),
    ...(call.stream === undefined ? {} : { 'content-type': 'application/x-tar', 'transfer-encoding': 'chunked' }),
  };
  const outgoing = request({ socketPath: call.socketPath, method: call.method, path: call.path, headers });
  const idle = call.idleSeconds ?? 60;
  outgoing.setTimeout(idle * 1000, () => outgoing.destroy(new Error(`${call.path}: no answer for ${idle} s`)));

  const answer = answerOf(outgoing);
  if (call.stream === undefined) outgoing.end(json);
  else await Promise.race([pipeline(call.stream, outgoing), answer]);
  return await answer;
}

/** Makes one call that must succeed, and gives its JSON answer. */
export async function askEngine<T>(call: EngineCall): Promise<T> {
  const { status, text } = await callEngine(call);
  if (status >= 400) throw new Error(`${call.method} ${call.path} answered ${status}: ${text.slice(0, 2000)}`);
  return (text === '' ? undefined : JSON.parse(text)) as T;
}

/**
 * Makes one call that answers with a stream of JSON lines (pull, push, import) and gives all of them.
 * Such a call answers 200 first and tells of its failure in a later line.
 */
export async function streamEngine(call: EngineCall): Promise<Record<string, unknown>[]> {
  const { status, text } = await callEngine({ ...call, idleSeconds: call.idleSeconds ?? 300 });
  if (status >= 400) throw new Error(`${call.method} ${call.path} answered ${status}: ${text.slice(0, 2000)}`);
  const lines = text.split('\n').flatMap((line) => (line.trim() === '' ? [] : [JSON.parse(line)]));
  const failed = lines.find((line) => line.error !== undefined);
  if (failed !== undefined) throw new Error(`${call.method} ${call.path}: ${failed.error}`);
  return lines;
}

/** Whether an engine answers at this socket in time. Where nobody listens it is known at once. */
export async function answersPing(socketPath: string, seconds = 2): Promise<boolean> {
  try {
    const answer = await callEngine({ socketPath, method: 'GET', path: '/_ping', idleSeconds: seconds });
    return answer.status === 200;
  } catch (error) {
    if (error instanceof Error) return false;
    throw error;
  }
}

function answerOf(outgoing: ClientRequest): Promise<EngineAnswer> {
  return new Promise((resolve, reject) => {
    outgoing.once('error', reject);
    outgoing.once('response', (incoming: IncomingMessage) => {
      let text = '';
      incoming.setEncoding('utf8');
      incoming.on('data', (chunk: string) => {
        text += chunk;
      });
      incoming.once('error', reject);
      incoming.once('end', () => resolve({ status: incoming.statusCode ?? 0, text }));
    });
  });
}

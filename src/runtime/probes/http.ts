/**
 * HTTP probe: one request to the loopback address, judged by the status line alone.
 *
 * 2xx and 3xx are ready. A redirect is not followed, so a workload cannot send the probe anywhere. What comes behind the
 * headers is dropped, and little of it read, so that neither a giant nor an endless body keeps anybody busy.
 */
import { type IncomingMessage, request } from 'node:http';
import { failedProbe, type Probe, type ProbeResult } from './probe.ts';

const maxHeaderBytes = 64 * 1024;
/** A small body is read to its end: the workload need not log a broken connection for each probe. */
const maxBodyBytes = 64 * 1024;
const maxBodyMs = 250;

export interface HttpAsk {
  /** Sent as a token, and never told. */
  readonly bearer?: string | undefined;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | undefined;
  /** The only status that is ready; 2xx and 3xx if left out. */
  readonly expected?: number;
}

/** `path` begins with a slash and is sent as it is. */
export function httpProbe(
  port: number,
  path: string,
  { bearer, method = 'GET', headers = {}, body, expected }: HttpAsk = {},
): Probe {
  const authorization = bearer === undefined ? {} : { authorization: `Bearer ${bearer}` };
  return async (signal) => {
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    const outgoing = request({
      ...{ host: '127.0.0.1', port, path, method, agent: false, signal, maxHeaderSize: maxHeaderBytes },
      headers: {
        ...{ host: `localhost:${port}`, accept: '*/*', connection: 'close', 'user-agent': 'gpuaas-readiness' },
        ...authorization,
        ...lowerCased(headers),
      },
    });
    outgoing.once('response', resolve);
    outgoing.once('upgrade', (answer, socket) => {
      socket.destroy();
      resolve(answer);
    });
    outgoing.on('error', reject);
    outgoing.end(body);
    try {
      const answer = await promise;
      await drop(answer);
      return judge(answer, expected);
    } catch (error) {
      return failedProbe(error, signal);
    } finally {
      outgoing.destroy();
    }
  };
}

/** So that a name that is written in another way replaces ours, and is not sent beside it. */
function lowerCased(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
}

function judge({ statusCode = 0 }: IncomingMessage, expected: number | undefined): ProbeResult {
  const ready = expected === undefined ? statusCode >= 200 && statusCode < 400 : statusCode === expected;
  return { ready, answer: `HTTP ${statusCode}` };
}

function drop(answer: IncomingMessage): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, maxBodyMs);
  let bytes = 0;
  answer.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > maxBodyBytes) {
      resolve();
    }
  });
  answer.once('end', resolve);
  answer.on('error', () => resolve());
  answer.once('close', resolve);
  return promise.finally(() => clearTimeout(timer));
}

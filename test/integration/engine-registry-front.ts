/** An HTTP front before a real registry that can be told to misbehave, and remembers what it was asked. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';

/** True if it took the request over; else it goes to the real registry, and waits as long as the rule does. */
export type Rule = (request: IncomingMessage, response: ServerResponse) => boolean | Promise<boolean>;

export interface RegistryFront {
  readonly host: string;
  /** `METHOD path` of every request, in order. */
  readonly asked: string[];
  /** Paths whose connection the client closed before it had the answer. */
  readonly abandoned: string[];
  /** Undefined: behave. */
  rule: Rule | undefined;
  close(): Promise<void>;
}

export async function startRegistryFront(registryHost: string): Promise<RegistryFront> {
  const [host, port] = registryHost.split(':');
  const server = createServer(async (incoming, response) => {
    front.asked.push(`${incoming.method} ${incoming.url}`);
    response.once('close', () => {
      if (!response.writableFinished) {
        front.abandoned.push(incoming.url ?? '');
      }
    });
    if (await front.rule?.(incoming, response)) {
      return;
    }
    const outgoing = request(
      { host, port, method: incoming.method, path: incoming.url, headers: incoming.headers },
      (answer) => {
        response.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(response);
      },
    );
    outgoing.once('error', () => response.destroy());
    incoming.pipe(outgoing);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');

  const front: RegistryFront = {
    host: `127.0.0.1:${(server.address() as { port: number }).port}`,
    asked: [],
    abandoned: [],
    rule: undefined,
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
  return front;
}

/** Answers requests for manifests only. */
export function onManifest(answer: (request: IncomingMessage, response: ServerResponse) => void): SwiftRule {
  return onPath('/manifests/', answer);
}

export function onBlob(
  digest: string,
  answer: (request: IncomingMessage, response: ServerResponse) => void,
): SwiftRule {
  return onPath(`/blobs/${digest}`, answer);
}

/** Begins a blob that never ends: slow, but alive, so that a download that was cancelled is given up with the next byte. */
export function dripBlob(response: ServerResponse): void {
  response.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': 1_000_000 });
  const timer = setInterval(() => response.write('.'), 20);
  response.once('close', () => clearInterval(timer));
}

function onPath(part: string, answer: (request: IncomingMessage, response: ServerResponse) => void): SwiftRule {
  return (incoming, response) => {
    const takes = incoming.url?.includes(part) ?? false;
    if (takes) {
      answer(incoming, response);
    }
    return takes;
  };
}

/** Keeps requests for this blob back until then. */
export function untilThen(then: Promise<void>, digest: string): Rule {
  return async ({ url }) => {
    if (url?.includes(`/blobs/${digest}`)) {
      await then;
    }
    return false;
  };
}

/** A rule that holds for the first `times` requests it takes over. */
export function atFirst(times: number, rule: SwiftRule): SwiftRule {
  let left = times;
  return (incoming, response) => {
    const took = left > 0 && rule(incoming, response);
    left -= took ? 1 : 0;
    return took;
  };
}

/** A rule that waits for nothing. */
type SwiftRule = (request: IncomingMessage, response: ServerResponse) => boolean;

/** An error as registries write it. */
export function registryError(status: number, code: string, message: string, headers: Record<string, string> = {}) {
  return (_request: IncomingMessage, response: ServerResponse) => {
    response.writeHead(status, { 'content-type': 'application/json', ...headers });
    response.end(JSON.stringify({ errors: [{ code, message }] }));
  };
}

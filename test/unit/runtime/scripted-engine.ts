/** A real HTTP server on a Unix socket that answers what a test scripts: for what a healthy engine never says. */
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';

export interface SeenRequest {
  /** `METHOD /path?query` */
  readonly line: string;
  readonly body: string;
  readonly headers: IncomingMessage['headers'];
}

export type Script = (request: SeenRequest, response: ServerResponse) => void;

export interface ScriptedEngine {
  readonly socketPath: string;
  readonly seen: SeenRequest[];
  /** Ends every connection that is open now, and goes on listening. */
  cut(): void;
  close(): Promise<void>;
}

export async function startScriptedEngine(script: Script): Promise<ScriptedEngine> {
  const folder = mkdtempSync(join(tmpdir(), 'gpuaas-scripted-'));
  const socketPath = join(folder, 'engine.sock');
  const seen: SeenRequest[] = [];
  const server = createServer(async (incoming, response) => {
    const line = `${incoming.method} ${incoming.url}`;
    const request = { line, body: await text(incoming), headers: incoming.headers };
    seen.push(request);
    script(request, response);
  });
  server.listen(socketPath);
  await once(server, 'listening');
  return {
    ...{ socketPath, seen },
    cut: () => server.closeAllConnections(),
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

export function sendJson(response: ServerResponse, status: number, value: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
}

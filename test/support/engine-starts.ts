/** Starts of containers as the engine tells of them, from now on: of what was, it remembers only the last 256 events of everybody. */
import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { createInterface } from 'node:readline';
import { labels } from '../../src/contract/names.ts';

export interface EngineStarts {
  /** How often a container of that instance or job was started. */
  of(instance: string): number;
  close(): void;
}

export async function watchStarts(socketPath: string): Promise<EngineStarts> {
  const filters = encodeURIComponent(JSON.stringify({ event: ['start'], type: ['container'] }));
  const call = request({ socketPath, path: `/events?filters=${filters}` });
  call.end();
  const [response] = (await once(call, 'response')) as [IncomingMessage];
  const seen: string[] = [];
  const lines = createInterface(response).on('line', (line) => {
    const { Actor } = JSON.parse(line) as { Actor: { Attributes: Record<string, string> } };
    seen.push(Actor.Attributes[labels.instance] ?? '');
  });
  // It breaks off when it is closed.
  for (const source of [response, lines]) source.on('error', () => undefined);
  return {
    of: (instance) => seen.filter((each) => each === instance).length,
    close: () => call.destroy(),
  };
}

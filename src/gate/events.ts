/** `GET /events`: the engine's own lines, of our containers only, as they come. */
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import type { Readable } from 'node:stream';
import { sendStream } from './answers.ts';
import type { GateCall, GateContext } from './context.ts';
import { eventFilters } from './filters.ts';

interface EngineEventObject {
  readonly Actor?: { readonly ID?: string; readonly Attributes?: Readonly<Record<string, string>> };
}

const maxLineLength = 1024 * 1024;
const maxForeign = 1024;

export async function streamEvents(call: GateCall, gate: GateContext): Promise<void> {
  const query = { ...call.query, filters: eventFilters(call.query['filters']) };
  const incoming = await gate.engine.stream({ method: 'GET', path: '/events', query, signal: call.signal });
  if (incoming.statusCode !== 200) {
    await sendStream(call.response, incoming);
    return;
  }
  // A container's last event comes when it can no longer be asked about: all of ours are known before the first one,
  // and whoever has the headers can rely on it.
  await gate.containers.list([], call.signal);
  call.response.writeHead(200, { 'content-type': 'application/json' });
  call.response.flushHeaders();

  const judge = judgeOf(gate, call.signal);
  for await (const line of linesOf(incoming)) {
    if (await judge(line)) await writeLine(call.response, line, call.signal);
  }
  call.response.end();
}

function judgeOf(gate: GateContext, signal: AbortSignal): (line: string) => Promise<boolean> {
  const foreign = new Set<string>();
  return async (line) => {
    const { Actor } = JSON.parse(line) as EngineEventObject;
    const id = Actor?.ID ?? '';
    if (gate.containers.known(id)?.id === id) return true;
    if (!/^[0-9a-f]{64}$/.test(id) || foreign.has(id)) return false;
    if ((await gate.containers.look(id, signal)).kind === 'sealed') return true;
    if (foreign.size < maxForeign) foreign.add(id);
    return false;
  };
}

/** The text itself is passed on, not its parsed form: its times have more digits than a number keeps. */
async function* linesOf(incoming: Readable): AsyncGenerator<string, void, undefined> {
  let rest = '';
  incoming.setEncoding('utf8');
  for await (const chunk of incoming as AsyncIterable<string>) {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    if (rest.length > maxLineLength) throw new Error('an event of the engine has no end');
    for (const line of lines) if (line.trim() !== '') yield line;
  }
  if (rest.trim() !== '') yield rest;
}

async function writeLine(response: ServerResponse, line: string, signal: AbortSignal): Promise<void> {
  if (!response.write(`${line}\n`)) await once(response, 'drain', { signal });
}

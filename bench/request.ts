/**
 * From the HTTP request of a person to `running`, through every part as a process of its own, against what the engine itself
 * takes for network, create and start of that very request, seen on its socket.
 *
 * What is left holds the app's own way to its first answer, and the readiness probe that waits for it.
 */
import type { EngineFront } from '../test/support/engine-front.ts';
import { ok, type Wire } from '../test/support/wire-ground.ts';
import { cliLaunch } from './launch.ts';
import { type Measurement, median, timed } from './measurement.ts';

const rounds = 15;
/** The control plane asks a node anew when what it knows of it is 30 s old; such a launch is not measured. */
const freshMs = 27_000;
const engineWork = /^POST \/(?:v[\d.]+\/)?(?:networks\/create|containers\/create\b|containers\/[^/]+\/start)/;

export async function requestCost(
  wire: Wire,
  front: EngineFront,
  { image, engineSocket }: { readonly image: string; readonly engineSocket: string },
): Promise<Measurement[]> {
  const events = await follow(wire);
  const measured: { all: number; engine: number }[] = [];
  const cli: number[] = [];
  let askedAt = 0;
  while (measured.length < rounds) {
    const isFresh = performance.now() - askedAt < freshMs;
    const round = await launchOnce(wire, front, events);
    if (isFresh) {
      measured.push(round);
      cli.push(await cliLaunch(engineSocket, image));
    } else {
      askedAt = performance.now();
    }
  }
  await events.stop();
  const all = median(measured.map((round) => round.all));
  const rest = median(measured.map((round) => round.all - round.engine));
  const name = 'HTTP request to running, warm image';
  return [
    {
      ...{ name, unit: 'ms', ours: all, theirs: all - rest, target: '+60 ms', met: rest <= 60 },
      against: "the engine's own network + create + start of the same request",
    },
    { name, unit: 'ms', ours: all, theirs: median(cli), against: 'docker network create && docker run -d' },
  ];
}

async function launchOnce(wire: Wire, front: EngineFront, events: Events): Promise<{ all: number; engine: number }> {
  const body = await wire.request({ cpu_cores: 1 });
  const before = front.answered.length;
  let id = '';
  const all = await timed(async () => {
    id = ok(await wire.member.call('POST', '/api/v1/app-instances', body)).id;
    await events.seen(id, 'apps.instance.running');
  });
  const calls = front.answered.slice(before).filter(({ call }) => engineWork.test(call));
  if (calls.length !== 3) {
    throw new Error(`a launch is three calls of the engine, these were ${calls.map(({ call }) => call).join(', ')}`);
  }
  ok(await wire.member.call('POST', `/api/v1/app-instances/${id}/actions`, { action: 'decommission' }));
  await events.seen(id, 'apps.instance.decommissioned');
  return { all, engine: calls.reduce((sum, { ms }) => sum + ms, 0) };
}

interface Events {
  /** Resolves when this was told about this instance; at once if it was before. */
  seen(id: string, type: string): Promise<void>;
  stop(): Promise<void>;
}

/** Follows the events of the project as a program does that wants to know at once. */
async function follow({ url, member }: Wire): Promise<Events> {
  const ending = new AbortController();
  const response = await fetch(`${url}/api/v1/events`, {
    headers: { authorization: `Bearer ${member.token}` },
    signal: ending.signal,
  });
  const known = new Map<string, PromiseWithResolvers<void>>();
  const of = (key: string) => known.getOrInsertComputed(key, () => Promise.withResolvers<void>());
  const reading = read(response, (type, id) => of(`${type} ${id}`).resolve());
  return {
    seen: async (id, type) => {
      await Promise.race([
        of(`${type} ${id}`).promise,
        of(`apps.instance.failed ${id}`).promise.then(() => Promise.reject(new Error(`${id} failed`))),
      ]);
    },
    stop: async () => {
      ending.abort();
      await reading.catch(() => undefined);
    },
  };
}

async function read(response: Response, told: (type: string, subject: string) => void): Promise<void> {
  let rest = '';
  const decoder = new TextDecoder();
  for await (const chunk of response.body ?? []) {
    const messages = (rest + decoder.decode(chunk, { stream: true })).split('\n\n');
    rest = messages.pop() ?? '';
    for (const message of messages) {
      const data = /^data: (.*)$/m.exec(message)?.[1];
      if (data !== undefined) {
        const { type, subject } = JSON.parse(data) as { type: string; subject: { id: string } };
        told(type, subject.id);
      }
    }
  }
}

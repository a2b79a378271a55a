/**
 * From the HTTP request of a person to `running`, through every part as a process of its own, against what the engine itself
 * takes for network, create and start of that very request, seen on its socket.
 *
 * What is left holds the app's own way to its first answer, and the readiness probe that waits for it.
 */
import type { EngineFront } from '../test/support/engine-front.ts';
import { ok, type Wire } from '../test/support/wire-ground.ts';
import { type Events, follow } from './events.ts';
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

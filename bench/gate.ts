/** What the gate costs: the same call with and without it. */
import { engineCall } from '../test/support/engine-call.ts';
import type { TestHost } from '../test/support/test-host.ts';
import { type Measurement, median, timed } from './measurement.ts';
import { remove, succeed } from './tasks.ts';

const calls = 300;

/** One call that the gate only looks at, direct and through the gate. */
export async function gateCost(host: TestHost): Promise<Measurement> {
  const direct: number[] = [];
  const gated: number[] = [];
  for (let count = 0; count < calls; count += 1) {
    direct.push(await timed(() => engineCall(host.engineSocket, 'GET', '/_ping')));
    gated.push(await timed(() => engineCall(host.gate.socketPath, 'GET', '/_ping')));
  }
  return callCost('gate: ping', direct, gated);
}

/** One call about a sealed container, direct and through the gate. */
export async function inspectCost(host: TestHost, image: string): Promise<Measurement> {
  const params = host.launchParams(image, {
    readiness: [{ type: 'exec', command: ['/bin/true'], timeout_seconds: 10 }],
  });
  const path = `/containers/gpuaas-${params.identity.app_instance_id}/json`;
  await succeed(host, params);
  const direct: number[] = [];
  const gated: number[] = [];
  for (let count = 0; count < calls; count += 1) {
    direct.push(await timed(() => engineCall(host.engineSocket, 'GET', path)));
    gated.push(await timed(() => engineCall(host.gate.socketPath, 'GET', path)));
  }
  await remove(host, params);
  return callCost('gate: inspect', direct, gated);
}

function callCost(name: string, direct: number[], gated: number[]): Measurement {
  const [ours, theirs] = [median(gated), median(direct)];
  const met = ours - theirs <= 1;
  return { name, unit: 'ms', ours, theirs, against: 'the engine, asked directly', target: '+1 ms', met };
}

/**
 * A real container whose health check flaps, as the engine sees it and as the control plane is told (FAULTS 28): few words
 * for many changes, degraded only for a while that counts, and running again.
 */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type DaemonGround, openDaemonGround, outputOf, until } from '../support/daemon-ground.ts';
import { engineCall } from '../support/engine-call.ts';
import { containerOf, inspectRaw } from '../support/looking.ts';

/** How long the daemon lets it say something else before it believes that. */
const unwellMs = 10_000;
const wellMs = 30_000;
const flaps = 5;
let ground: DaemonGround;

beforeAll(async () => {
  ground = await openDaemonGround();
  ground.start();
  await ground.connected();
});
afterAll(async () => await ground?.close());

const failing = ['health.failing', 'degraded'];
const recovered = ['health.recovered', 'running'];

type Health = 'healthy' | 'unhealthy';

it('is told as degraded once it lasts, as running once it is over, and not at all while it flickers', async () => {
  const params = ground.host.launchParams(await ground.host.image('healthy'), {
    command: [
      'trap "rm -f /tmp/healthy" USR1; trap "touch /tmp/healthy" USR2; touch /tmp/healthy; while :; do sleep 0.1; done',
    ],
    readiness: [{ type: 'container_health', timeout_seconds: 60 }],
  });
  outputOf(await ground.run('workload.oci_launch', params));
  const name = containerOf(params);
  const before = await inspectRaw(ground.host, name);
  const told = () => ground.events(params.identity.app_instance_id).map(({ event, state }) => [event.type, state]);

  /** Makes it so, waits until the engine says so too, and returns how long it had said otherwise at most. */
  const become = async (health: Health, since: number): Promise<number> => {
    await ground.host.signal(name, health === 'healthy' ? 'USR2' : 'USR1');
    await until(async () => (await engineSays(name)) === health, `the engine to say ${health}`);
    return performance.now() - since;
  };
  /** The longest time of the one health while it flaps between both. */
  const flap = async (from: Health, to: Health): Promise<number> => {
    const lengths: number[] = [];
    for (let number = 0; number < flaps; number += 1) {
      const since = performance.now();
      await become(to, since);
      lengths.push(await become(from, since));
    }
    return Math.max(...lengths);
  };

  const longestUnwell = await flap('healthy', 'unhealthy');
  const whileWell = told();
  await become('unhealthy', 0);
  await until(() => told().at(-1)?.[1] === 'degraded', 'the control plane to be told');
  const whenUnwell = told();
  const longestWell = await flap('unhealthy', 'healthy');
  const whileUnwell = told();
  await become('healthy', 0);
  await until(() => told().at(-1)?.[1] === 'running', 'the recovery', 600);

  // On a machine that is so busy that a flicker lasts, it is none, and is told as well.
  const flickeredWell = longestUnwell < unwellMs * 0.8;
  const flickeredUnwell = longestWell < wellMs * 0.8;
  if (flickeredWell) expect(whileWell).toEqual([]);
  expect(whenUnwell.at(-1)).toEqual(failing);
  if (flickeredUnwell) expect(whileUnwell).toEqual(whenUnwell);
  const turns = told();
  expect(turns).toEqual(turns.map((_, index) => (index % 2 === 0 ? failing : recovered)));
  if (flickeredWell && flickeredUnwell) expect(turns).toHaveLength(2);
  const after = await inspectRaw(ground.host, name);
  expect([after.Id, after.State.Pid]).toEqual([before.Id, before.State.Pid]);
}, 900_000);

async function engineSays(name: string): Promise<string | undefined> {
  const { body } = await engineCall<{ State: { Health?: { Status: string } } }>(
    ground.host.engineSocket,
    'GET',
    `/containers/${name}/json`,
  );
  return body.State.Health?.Status;
}

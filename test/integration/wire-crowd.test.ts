/** More launches than the host fits: what fits runs, the others are told why, and nothing of them is left (FAULTS 33). */
import { availableParallelism } from 'node:os';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { ok, openWire, type Wire } from '../support/wire-ground.ts';

const fits = 4;
const asked = 12;
let wire: Wire;

beforeAll(async () => {
  wire = await openWire();
});
afterAll(async () => await wire?.close());

async function launchLarge(): Promise<string> {
  const resource_overrides = { cpu_cores: availableParallelism() / fits };
  const body = { ...(await wire.request()), resource_overrides };
  return ok(await wire.member.call('POST', '/api/v1/app-instances', body)).id;
}

it('takes as many as it fits, refuses the others with the reason, and launches one of them anew when one has gone (X-12)', async () => {
  const ids: string[] = [];
  for (let count = 0; count < asked; count += 1) ids.push(await launchLarge());

  const ended = [];
  for (const id of ids) ended.push(await wire.reaches(id, 'running', 'failed'));

  const running = ended.filter(({ state }) => state === 'running');
  const failed = ended.filter(({ state }) => state === 'failed');
  expect(running).toHaveLength(fits);
  expect(new Set(failed.map(({ failure }) => failure.code))).toEqual(new Set(['resources.exceeded']));
  expect(failed[0]?.failure).toMatchObject({ hint: expect.stringContaining('Stop another workload'), retryable: true });
  for (const { id } of failed) expect(await wire.containers(id)).toEqual([]);

  const [gone] = running;
  await wire.member.cli('apps', 'instances', 'decommission', gone.id).ended;
  const { id: again } = failed[0];
  await wire.member.cli('apps', 'instances', 'restart', again).ended;
  await wire.reaches(again, 'running');
  expect(await wire.containers(again)).toHaveLength(1);
});

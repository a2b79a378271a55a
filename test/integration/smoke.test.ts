/** `gpuaas smoke` against the whole wire: its four verbs, one by one, again, together, and where each fails. */
import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { freePort } from '../../bootstrap/dev/free-port.ts';
import { ok, openWire, personOf, type Wire } from '../support/wire-ground.ts';

const fixture = JSON.parse(readFileSync(resolve(import.meta.dirname, '../../fixtures/smoke/ci.json'), 'utf8'));
let wire: Wire;
beforeAll(async () => {
  wire = await openWire();
});
afterAll(async () => await wire?.close());

/** A run of its own: the inputs of the fixture, on a port that is free here. */
async function aRun(given: Record<string, unknown> = {}, config: Record<string, unknown> = {}) {
  const name = `smoke-${await freePort()}`;
  const [inputs, state] = [join(wire.folder, `${name}.json`), join(wire.folder, `${name}.state`)];
  const port = await freePort();
  writeFileSync(
    inputs,
    JSON.stringify({ ...fixture, name, config: { ...fixture.config, host_port: port, ...config }, ...given }),
  );
  const smoke = async (verb: string) => {
    const { code, stdout, stderr } = await wire.member.cli(
      'smoke',
      verb,
      '--inputs',
      inputs,
      '--state',
      state,
      '--json',
    ).ended;
    const results = stdout.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line)]));
    return { code, results, stderr };
  };
  const instances = async () => {
    const { items } = ok(await wire.member.call('GET', '/api/v1/app-instances'));
    return items.filter(({ display_name }: { display_name: string }) => display_name === name);
  };
  return { smoke, instances, state, port };
}

const failed = (results: { checks: { check: string; ok: boolean; detail: string }[] }[]) =>
  results.flatMap(({ checks }) =>
    checks.filter(({ ok: isOk }) => !isOk).map(({ check, detail }) => `${check}: ${detail}`),
  );

it('observes, deploys, gets in and takes away, each verb also when it is given again (G-89, G-180, G-234 to G-236)', async () => {
  const { smoke, instances, state, port } = await aRun();

  expect(await smoke('observe')).toMatchObject({ code: 0, results: [{ verb: 'observe', ok: true }] });
  const node = ok(await wire.member.call('GET', `/api/v1/nodes/${wire.nodeId}`));
  expect(await instances()).toEqual([]);

  const deployed = await smoke('deploy');
  expect(deployed).toMatchObject({ code: 0, results: [{ verb: 'deploy', ok: true }] });
  // What the manifest says must hold (G-89).
  expect(deployed.results[0].checks).toContainEqual(expect.objectContaining({ check: 'container_running', ok: true }));
  expect(await smoke('deploy')).toMatchObject({ code: 0 });
  expect(await smoke('observe')).toMatchObject({ code: 0 });
  const [instance, ...others] = await instances();
  expect([instance.state, others]).toEqual(['running', []]);
  // The host had said that it is ready before anything was launched (G-234).
  expect(node.runtime_at <= instance.created_at).toBe(true);
  expect(statSync(state).mode & 0o777).toBe(0o600);

  expect(await smoke('access')).toMatchObject({
    ...{ code: 0, results: [{ checks: [{ check: 'endpoint web', detail: `http://127.0.0.1:${port}/ answers 200` }] }] },
  });

  expect(failed((await smoke('decommission')).results)).toEqual([]);
  expect(await smoke('decommission')).toMatchObject({ code: 0 });
  expect((await instances()).map(({ state: now }: { state: string }) => now)).toEqual(['decommissioned']);
  expect(await wire.containers(instance.id)).toEqual([]);
  expect(existsSync(state)).toBe(false);
});

it('does all four at once', async () => {
  const { smoke } = await aRun();

  const { code, results } = await smoke('all');

  expect(results.map(({ verb, status }) => [verb, status])).toEqual([
    ['observe', 0],
    ['deploy', 0],
    ['access', 0],
    ['decommission', 0],
  ]);
  expect(code).toBe(0);
});

it('goes on without its file: it finds the instance by its name, and a closed door is as it should be', async () => {
  const { smoke, state } = await aRun();
  await smoke('deploy');
  rmSync(state);

  expect(await smoke('access')).toMatchObject({ code: 0 });
  expect(await smoke('decommission')).toMatchObject({ code: 0 });
});

it('says by its status which verb failed, and leaves nothing behind', async () => {
  const { smoke, instances } = await aRun({}, { mode: 'fail' });

  const access = await smoke('access');
  const all = await smoke('all');

  expect([access.code, failed(access.results)[0]]).toEqual([12, expect.stringContaining('deploy it first')]);
  expect([all.code, all.results.map(({ verb }) => verb)]).toEqual([11, ['observe', 'deploy', 'decommission']]);
  expect(failed(all.results)[0]).toMatch(/^launch: .* is failed/);
  expect((await instances()).map(({ state }: { state: string }) => state)).toEqual(['decommissioned']);
});

it('does not launch where the checks would refuse it, or the host is away', async () => {
  const refused = await aRun({ resource_overrides: { gpu_count: 1 } });
  const { smoke, instances } = await aRun();

  const tooMuch = await refused.smoke('all');
  await wire.agent.stop('SIGKILL');
  const isAway = async () => ok(await wire.member.call('GET', `/api/v1/nodes/${wire.nodeId}`)).connected === false;
  await expect.poll(isAway).toBe(true);
  const away = await smoke('all');
  await wire.agent.start();

  expect([tooMuch.code, failed(tooMuch.results)[0]]).toEqual([
    10,
    expect.stringContaining('launch.resources_exceed_allocation at /resource_overrides/gpu_count'),
  ]);
  expect([away.code, failed(away.results)[0]]).toEqual([10, expect.stringMatching(/^host: .* is away$/)]);
  expect([await refused.instances(), await instances()]).toEqual([[], []]);
});

it.each<[string, Record<string, unknown>, string]>([
  ['an unknown key', { host: 'x' }, '/host'],
  ['an allocation that there is not', { placement: { allocation: 'nowhere' } }, 'nowhere'],
])('refuses inputs with %s as unusable', async (_what, given, message) => {
  const { smoke } = await aRun(given);

  const { code, results } = await smoke('observe');

  expect(code).toBe(2);
  expect(JSON.stringify(results)).toContain(message);
});

it('tells a control plane that is not there from a platform that does not work', async () => {
  const nobody = personOf(`http://127.0.0.1:${await freePort()}`, 'token');
  const inputs = resolve(import.meta.dirname, '../../fixtures/smoke/ci.json');

  expect((await nobody.cli('smoke', 'observe', '--inputs', inputs).ended).code).toBe(69);
});

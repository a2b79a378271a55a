import { expect, it } from 'vitest';
import { openSqliteStore } from '../../../../src/server/db/sqlite/sqlite-store.ts';
import { recordSignOff } from '../../../../src/server/launch/sign-off.ts';
import { aNode } from '../../../support/launch-samples.ts';
import { temporaryFolder } from '../../../support/temporary-folder.ts';
import { testServer } from '../../../support/test-server.ts';

const open = await testServer();
const closed = await testServer({ launchEnabled: false });
const ask = async ({ call }: typeof open) =>
  (await call('GET', '/api/v1/environment/capabilities', { as: 'viewer' })).body;

it('says that endpoints are private: a proxy is declared by manifests and offered by nobody (G-209)', async () => {
  expect((await ask(open)).exposure_modes).toEqual(['private']);
});

it('names every engine, whether launches may use it, and why not (G-133 to G-135, G-163)', async () => {
  const { engines } = await ask(open);

  expect(engines[0]).toEqual({ name: 'node_agent', enabled: true, reason: null });
  expect(engines[1]).toEqual({ name: 'docker_compose', enabled: true, reason: null });
  expect(engines.slice(2)).toEqual(
    ['kubernetes', 'helm', 'dstack'].map((name) => ({
      ...{ name, enabled: false, reason: 'It is not available yet.' },
    })),
  );
  expect((await ask(closed)).engines[0]).toEqual({
    ...{ name: 'node_agent', enabled: false, reason: 'It is switched off in this environment.' },
  });
});

it('warns where launches are switched on and no node carries them out (G-189)', async () => {
  const server = await testServer();
  const launching = [{ type: 'workload.oci_launch', version: 1 }];
  const before = (await ask(server)).warnings;
  await server.store.write(async (tx) => {
    await tx.nodes.insert(aNode({ id: 'n1', status: 'enrolled', task_types: [{ type: 'agent.drain', version: 1 }] }));
    await tx.nodes.insert(aNode({ id: 'n2', status: 'revoked', task_types: launching }));
  });
  const without = (await ask(server)).warnings;
  await server.store.write((tx) => tx.nodes.insert(aNode({ id: 'n3', status: 'enrolled', task_types: launching })));

  const warning = ['Launches are switched on, and no node has an agent that carries them out.'];
  expect([before, without, (await ask(server)).warnings]).toEqual([warning, warning, []]);
  expect((await ask(closed)).warnings).toEqual([]);
});

it('remembers who signed launches off, and tells it by an event, once for each (G-199)', async () => {
  const store = openSqliteStore(`${temporaryFolder('sign-off')}/control-plane.db`);
  const start = (launchSignOff: string | undefined, launchEnabled = true, environment = 'production') =>
    recordSignOff(store, { environment, launchEnabled, ...(launchSignOff ? { launchSignOff } : {}) }, '1.0', 0);
  await start('kim, 2026-11-26');
  await start('kim, 2026-11-26');
  await start('lee, 2026-12-01');
  await start('kim, 2026-11-26');
  await start(undefined);
  await start('nobody: launches are off', false);

  const events = await store.read((tx) => tx.events.list({ after: 0, limit: 10 }));
  await store.close();
  expect(events.map(({ type, subject, message }) => [type, subject.id, message])).toEqual(
    ['kim, 2026-11-26', 'lee, 2026-12-01', 'kim, 2026-11-26'].map((who) => [
      ...['environment.signed_off', 'production', `Launches in production were switched on, signed off by: ${who}.`],
    ]),
  );
});

it('shows who signed off to everybody', async () => {
  const signed = await testServer({ environment: 'production', launchSignOff: 'kim, 2026-11-26' });

  expect((await ask(signed)).launch_sign_off).toEqual({
    ...{ text: 'kim, 2026-11-26', version: '0.0.0-test', created_at: '2026-11-25T10:00:00.000Z' },
  });
  expect((await ask(open)).launch_sign_off).toBeNull();
});

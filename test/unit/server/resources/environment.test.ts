import { expect, it } from 'vitest';
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

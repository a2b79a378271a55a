import { existsSync } from 'node:fs';
import { expect, it } from 'vitest';
import { probeCompose } from '../../../src/host/compose.ts';
import { patience, standIn, testFolder } from './stand-ins.ts';

it('reads the version of the Compose plugin', async () => {
  const folder = testFolder();
  standIn(folder, 'docker', '[ "$*" = "compose version --short" ] && echo 2.26.1');

  expect(await probeCompose({ path: folder, places: [], signal: patience })).toEqual({
    version: '2.26.1',
    reason: null,
  });
});

it('reads a version that Debian and older releases decorate', async () => {
  const folder = testFolder();
  standIn(folder, 'docker', 'echo v2.26.1-4');

  expect(await probeCompose({ path: folder, places: [], signal: patience })).toMatchObject({ version: '2.26.1-4' });
});

it("asks with a configuration of its own, never a person's", async () => {
  const folder = testFolder();
  standIn(folder, 'docker', '[ "$DOCKER_CONFIG" = /nonexistent/docker ] && [ "$HOME" = /nonexistent ] && echo 2.0.0');

  expect(await probeCompose({ path: folder, places: [], signal: patience })).toMatchObject({ version: '2.0.0' });
});

it('reports no version where the client, the plugin or an answer is missing', async () => {
  const [none, noPlugin, hanging] = [testFolder(), testFolder(), testFolder()];
  standIn(noPlugin, 'docker', 'echo "unknown flag: --short" >&2; exit 125');
  standIn(hanging, 'docker', 'exec sleep 600');
  const ask = (path: string) => probeCompose({ path, places: [], timeoutMs: 300, signal: patience });

  expect(await ask(none)).toEqual({ version: null, reason: expect.stringContaining('not installed') });
  expect(await probeCompose({ path: noPlugin, places: [], signal: patience })).toEqual({
    version: null,
    reason: 'The docker client has no Compose plugin.',
  });
  expect(await ask(hanging)).toEqual({ version: null, reason: expect.stringContaining('within 0.3 s') });
});

it('tells version 1 from version 2 and does not run it', async () => {
  const folder = testFolder();
  standIn(folder, 'docker', 'exit 125');
  const old = standIn(folder, 'docker-compose', `touch ${folder}/was-run; echo 1.29.2`);

  const found = await probeCompose({ path: folder, places: [], signal: patience });

  expect(found).toEqual({ version: null, reason: expect.stringContaining(old) });
  expect(existsSync(`${folder}/was-run`)).toBe(false);
});

it('does not take a plugin of version 1 for version 2', async () => {
  const folder = testFolder();
  standIn(folder, 'docker', 'echo 1.29.2');

  expect(await probeCompose({ path: folder, places: [], signal: patience })).toMatchObject({ version: null });
});

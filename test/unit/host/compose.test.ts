import { expect, it } from 'vitest';
import { probeCompose } from '../../../src/host/compose.ts';
import { patience, standIn, testFolder } from './stand-ins.ts';

const ask = (folders: readonly string[]) => probeCompose({ folders, timeoutMs: 300, signal: patience });

it('finds the Compose plugin in the first folder that has it, and reads its version', async () => {
  const [none, folder, later] = [testFolder(), testFolder(), testFolder()];
  const file = standIn(folder, 'docker-compose', '[ "$*" = "version --short" ] && echo 2.26.1');
  standIn(later, 'docker-compose', 'echo 2.99.0');

  const found = await probeCompose({ folders: [none, folder, later], signal: patience });

  expect(found).toEqual({ file, version: '2.26.1', reason: null });
});

it('reads a version that Debian and older releases decorate', async () => {
  const folder = testFolder();
  standIn(folder, 'docker-compose', 'echo v2.26.1-4');

  expect(await probeCompose({ folders: [folder], signal: patience })).toMatchObject({ version: '2.26.1-4' });
});

it("asks with a configuration of its own, never a person's", async () => {
  const folder = testFolder();
  const isOwn = '[ "$DOCKER_CONFIG" = /nonexistent/docker ] && [ "$HOME" = /nonexistent ] && echo 2.0.0';
  standIn(folder, 'docker-compose', isOwn);

  expect(await probeCompose({ folders: [folder], signal: patience })).toMatchObject({ version: '2.0.0' });
});

it('reports no version where the plugin or an answer is missing', async () => {
  const [none, broken, hanging] = [testFolder(), testFolder(), testFolder()];
  standIn(broken, 'docker-compose', 'echo "what?" >&2; exit 125');
  standIn(hanging, 'docker-compose', 'exec sleep 600');
  const nothing = { file: null, version: null };

  expect(await ask([none])).toEqual({ ...nothing, reason: 'The docker client has no Compose plugin.' });
  expect(await probeCompose({ folders: [broken], signal: patience })).toEqual({
    ...nothing,
    reason: expect.stringContaining('does not tell its version'),
  });
  expect(await ask([hanging])).toEqual({ ...nothing, reason: expect.stringContaining('within 0.3 s') });
});

it('does not take version 1 for version 2', async () => {
  const folder = testFolder();
  standIn(folder, 'docker-compose', 'echo 1.29.2');

  expect(await probeCompose({ folders: [folder], signal: patience })).toEqual({
    ...{ file: null, version: null },
    reason: expect.stringContaining('version 1 is not supported'),
  });
});

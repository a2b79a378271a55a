import { Command } from 'commander';
import { expect, it, vi } from 'vitest';
import { addAppCommands } from '../../../../src/cli/gpuaas/app-commands.ts';
import { ControlPlaneClient } from '../../../../src/cli/gpuaas/client.ts';
import { testServer } from '../../../support/test-server.ts';

it('gpuaas apps add puts an app into the catalog, once', async () => {
  const server = await testServer();
  const client = new ControlPlaneClient({ url: server.url, token: server.tokens['admin'] ?? '' });
  const said: string[] = [];
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => said.push(String(text)) > 0);
  const add = async () => {
    const program = new Command();
    addAppCommands(program, async (work) => void (await work(client)));
    const card = ['--name', 'Smoke test', '--summary', 'Shows stacks', '--category', 'test'];
    await program.parseAsync(['apps', 'add', 'smoke-stack', ...card, '--json'], { from: 'user' });
  };

  await add();

  expect(JSON.parse(said.join(''))).toMatchObject({ id: 'smoke-stack', display_name: 'Smoke test', category: 'test' });
  expect(await client.get('/api/v1/catalog/apps/smoke-stack')).toMatchObject({ summary: 'Shows stacks', versions: [] });
  await expect(add()).rejects.toMatchObject({ code: 'resource.conflict' });
  vi.restoreAllMocks();
});

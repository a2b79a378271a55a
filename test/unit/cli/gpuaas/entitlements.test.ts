import { Command } from 'commander';
import { afterEach, beforeAll, expect, it, vi } from 'vitest';
import { ControlPlaneClient } from '../../../../src/cli/gpuaas/client.ts';
import { addEntitlementCommands } from '../../../../src/cli/gpuaas/entitlement-commands.ts';
import { anApp } from '../../../support/launch-samples.ts';
import { type TestServer, testServer } from '../../../support/test-server.ts';

let server: TestServer;

beforeAll(async () => {
  server = await testServer();
  await server.store.write((tx) => tx.apps.insert(anApp()));
});
afterEach(() => {
  vi.restoreAllMocks();
});

/** What the command says to an admin of a real control plane. */
async function entitlements(...args: string[]): Promise<string> {
  const said: string[] = [];
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => said.push(String(text)) > 0);
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => said.push(String(text)) > 0);
  const client = new ControlPlaneClient({ url: server.url, token: server.tokens['admin'] ?? '' });
  const program = new Command();
  addEntitlementCommands(program, async (work) => void (await work(client)));
  await program.parseAsync(['entitlements', ...args], { from: 'user' });
  return said.join('');
}

it('grants, lists and takes back, for a project or for every one', async () => {
  const one = JSON.parse(await entitlements('grant', 'jupyterlab', '--project', 'p1', '--json'));
  const again = JSON.parse(await entitlements('grant', 'jupyterlab', '--project', 'p1', '--json'));
  const every = JSON.parse(await entitlements('grant', 'jupyterlab', '--every-project', '--json'));
  const both = await entitlements();

  expect(again).toEqual(one);
  expect(one).toMatchObject({ app_slug: 'jupyterlab', project_id: 'p1' });
  expect(every).toMatchObject({ app_slug: 'jupyterlab', project_id: null });
  expect(both).toMatch(new RegExp(`^${one.id} +jupyterlab +p1 `, 'm'));
  expect(both).toMatch(new RegExp(`^${every.id} +jupyterlab +every project `, 'm'));

  await entitlements('revoke', one.id);
  await entitlements('revoke', every.id);
  expect(await entitlements('list')).toContain('gpuaas apps entitlements grant APP --project ID');
});

it.each([[['grant', 'jupyterlab']], [['grant', 'jupyterlab', '--project', 'p1', '--every-project']]])(
  'asks for exactly one of project and every project: %j',
  async (args) => {
    await expect(entitlements(...args)).rejects.toMatchObject({ code: 'command.invalid' });
  },
);

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { Command } from 'commander';
import { afterEach, expect, it, vi } from 'vitest';
import { ControlPlaneClient } from '../../../../src/cli/gpuaas/client.ts';
import { addCredentialCommands } from '../../../../src/cli/gpuaas/credential-commands.ts';
import { temporaryFolder } from '../../../support/temporary-folder.ts';
import { testServer } from '../../../support/test-server.ts';

const server = await testServer();
const folder = temporaryFolder('credentials');
afterEach(() => {
  vi.restoreAllMocks();
});

/** What the command says to a member of a real control plane. */
async function run(...args: string[]): Promise<string> {
  const said: string[] = [];
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => said.push(String(text)) > 0);
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => said.push(String(text)) > 0);
  const client = new ControlPlaneClient({ url: server.url, token: server.tokens['member'] ?? '' });
  const program = new Command();
  addCredentialCommands(program, async (work) => void (await work(client)));
  await program.parseAsync(args, { from: 'user' });
  return said.join('');
}

function fileWith(text: string): string {
  const file = join(folder, 'value');
  writeFileSync(file, text);
  return file;
}

async function keptValue(id: string): Promise<string> {
  const kept = await server.store.read((tx) => tx.access_credentials.get(id));
  return server.context.keys.vault.open(kept?.sealed ?? '', id);
}

it('keeps, lists, rotates and forgets credentials, by name or id, and shows no value', async () => {
  const added = await run('credentials', 'add', 'hub', '--kind', 'token', '--file', fileWith('secret-1\n'), '--json');
  const { id } = JSON.parse(added);
  const first = await keptValue(id);
  const said = [
    ...[added, await run('credentials')],
    await run('credentials', 'rotate', 'hub', '--file', fileWith('secret-2\n')),
  ];

  expect([first, await keptValue(id)]).toEqual(['secret-1', 'secret-2']);
  expect(said[1]).toMatch(new RegExp(`^${id} +hub +token `, 'm'));
  said.push(await run('credentials', 'remove', id));
  expect(await run('credentials', 'list')).toContain('gpuaas credentials add NAME');
  expect(said.join('')).not.toContain('secret-');
});

it('reads a value from standard input, and keeps a key byte for byte', async () => {
  const key = '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n';
  vi.spyOn(process, 'stdin', 'get').mockReturnValue(Readable.from([key]) as typeof process.stdin);

  const { id } = JSON.parse(
    await run('credentials', 'add', 'key', '--kind', 'ssh_private_key', '--file', '-', '--json'),
  );

  expect(await keptValue(id)).toBe(key);
});

it('takes no value as an argument, and no empty file', async () => {
  await expect(run('credentials', 'add', 'x', '--kind', 'token', '--file', fileWith('\n'))).rejects.toMatchObject({
    code: 'file.unusable',
  });
  const options = new Command();
  addCredentialCommands(options, async () => undefined);
  const add = options.commands[0]?.commands.find((command) => command.name() === 'add');
  expect(add?.registeredArguments.map((argument) => argument.name())).toEqual(['name']);
  expect(add?.options.map(({ long }) => long)).not.toContain('--value');
});

it('makes and removes service accounts', async () => {
  const { id } = JSON.parse(await run('service-accounts', 'add', 'bot', '--role', 'viewer', '--json'));

  expect(await run('service-accounts')).toMatch(new RegExp(`^${id} +bot +viewer `, 'm'));
  expect(JSON.parse(await run('service-accounts', 'remove', 'bot', '--json'))).toMatchObject({ id, revoked: 0 });
  await expect(run('service-accounts', 'remove', 'bot')).rejects.toMatchObject({ code: 'resource.not_found' });
});

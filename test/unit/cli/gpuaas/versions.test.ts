import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import { describe, expect, it, vi } from 'vitest';
import { ControlPlaneClient } from '../../../../src/cli/gpuaas/client.ts';
import { addVersionCommands } from '../../../../src/cli/gpuaas/version-commands.ts';
import { seedCatalog } from '../../../../src/server/catalog/seed.ts';
import { temporaryFolder } from '../../../support/temporary-folder.ts';
import { testServer } from '../../../support/test-server.ts';

const server = await testServer();
const folder = temporaryFolder('versions');
await server.store.write((tx) => seedCatalog(tx, Date.parse('2026-11-25T10:00:00Z')));

/** Runs one command line against the server and gives what it printed. */
async function run(...words: readonly string[]): Promise<string> {
  const client = new ControlPlaneClient({ url: server.url, token: server.tokens['admin'] ?? '' });
  const printed: string[] = [];
  const write = vi.spyOn(process.stdout, 'write').mockImplementation((text) => printed.push(String(text)) > 0);
  try {
    const apps = new Command('apps').exitOverride();
    addVersionCommands(apps, async (work) => void (await work(client)));
    await apps.parseAsync(words, { from: 'user' });
  } finally {
    write.mockRestore();
  }
  return printed.join('');
}

describe('gpuaas apps versions', () => {
  it('brings the manifest of a version out, and into a version of one’s own that can be published and withdrawn', async () => {
    const manifest = await run('manifest', 'jupyterlab@2026.04-preview');
    const file = join(folder, 'jupyterlab.yaml');
    writeFileSync(
      file,
      manifest.replace('    HOME: /workspace', '    HOME: /workspace\n    PIP_INDEX_URL: http://pip/'),
    );

    const added = JSON.parse(await run('versions', 'add', 'jupyterlab@2026.11-own', file, '--json'));
    const published = JSON.parse(await run('versions', 'publish', 'jupyterlab@2026.11-own', '--json'));
    const own = await run('manifest', 'jupyterlab@2026.11-own');
    const withdrawn = JSON.parse(await run('versions', 'withdraw', 'jupyterlab@2026.11-own', '--json'));

    expect([added, published, withdrawn].map(({ status }) => status)).toEqual(['draft', 'published', 'withdrawn']);
    expect(own).toBe(manifest.replace('    HOME: /workspace', '    HOME: /workspace\n    PIP_INDEX_URL: http://pip/'));
  });

  it('says where a manifest is wrong, all of it at once', async () => {
    const file = join(folder, 'wrong.yaml');
    const manifest = await run('manifest', 'jupyterlab@2026.04-preview');
    writeFileSync(file, `${manifest.replace('port: 8888', 'port: 0')}compose: "services:"\n`);

    await expect(run('versions', 'add', 'jupyterlab@1', file)).rejects.toMatchObject({
      code: 'manifest.invalid',
      detail: {
        errors: expect.arrayContaining(
          ['/compose', '/network/endpoints/0/port'].map((path) => expect.objectContaining({ path })),
        ),
      },
    });
  });

  it.each(['jupyterlab', '@1', 'jupyterlab@'])('refuses %s, which names no version', async (name) => {
    await expect(run('manifest', name)).rejects.toMatchObject({ code: 'command.invalid' });
  });

  it('says which file cannot be read', async () => {
    await expect(run('versions', 'add', 'jupyterlab@2', join(folder, 'absent'))).rejects.toMatchObject({
      code: 'file.unusable',
    });
  });
});

/** A token is shown once: said where it is shown, beside it and not in it. */
import { Command } from 'commander';
import { afterEach, expect, it, vi } from 'vitest';
import { addArtifactCommands } from '../../../../src/cli/gpuaas/artifact-commands.ts';
import type { ControlPlaneClient } from '../../../../src/cli/gpuaas/client.ts';
import { addFleetCommands } from '../../../../src/cli/gpuaas/fleet-commands.ts';
import { addNodeCommands } from '../../../../src/cli/gpuaas/node-commands.ts';

afterEach(() => {
  vi.restoreAllMocks();
});

it.each([
  ['tokens create alice --role admin'],
  ['nodes join-token alloc-1'],
  ['artifacts publish registry.example.com/curated/app'],
])('gpuaas %s says so on stderr, and prints the token alone on stdout', async (line) => {
  const client = { change: async () => ({ token: 's3cret', expires_at: '2026-11-25T11:00:00Z' }) };
  const program = new Command();
  for (const add of [addArtifactCommands, addFleetCommands, addNodeCommands]) {
    add(program, async (work) => void (await work(client as unknown as ControlPlaneClient)));
  }
  const shown: string[] = [];
  const said: string[] = [];
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => shown.push(String(text)) > 0);
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => said.push(String(text)) > 0);

  await program.parseAsync(line.split(' '), { from: 'user' });

  expect(shown).toEqual(['s3cret\n']);
  expect(said.join('')).toMatch(/shown this once/);
});

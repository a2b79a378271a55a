import { Command } from 'commander';
import { afterEach, expect, it, vi } from 'vitest';
import type { ControlPlaneClient } from '../../../../src/cli/gpuaas/client.ts';
import { addNodeCommands } from '../../../../src/cli/gpuaas/node-commands.ts';

afterEach(() => {
  vi.restoreAllMocks();
});

it('tells of each node whether it takes new work, and who said that it shall not', async () => {
  const nodes = [
    { name: 'free', drain: false, inventory: { draining: false } },
    { name: 'new', drain: false, inventory: null },
    { name: 'ours', drain: true, inventory: { draining: true } },
    { name: 'theirs', drain: false, inventory: { draining: true } },
  ];
  const client = { list: () => nodes.values() } as unknown as ControlPlaneClient;
  const program = new Command();
  addNodeCommands(program, async (work) => void (await work(client)));
  let shown = '';
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    shown += String(text);
    return true;
  });

  await program.parseAsync(['nodes'], { from: 'user' });

  const column = shown.split('\n')[0]?.indexOf('DRAIN');
  const words = shown
    .trim()
    .split('\n')
    .slice(1)
    .map((row) => row.slice(column, (column ?? 0) + 11).trim());
  expect(words).toEqual(['no', 'no', 'yes', 'by its host']);
});

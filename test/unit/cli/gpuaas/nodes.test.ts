import { Command } from 'commander';
import { afterEach, expect, it, vi } from 'vitest';
import type { ControlPlaneClient } from '../../../../src/cli/gpuaas/client.ts';
import { addNodeCommands } from '../../../../src/cli/gpuaas/node-commands.ts';

afterEach(() => {
  vi.restoreAllMocks();
});

it('tells of each node whether it takes new work, and who said that it shall not', async () => {
  const said = { readiness: { state: 'not_ready' }, probed_at: null };
  const compose = { what: 'Compose' };
  const nodes = [
    { name: 'free', drain: false, inventory: { draining: false }, drift: [] },
    { name: 'new', drain: false, inventory: null, drift: [compose, { what: 'disk' }] },
    { name: 'ours', drain: true, inventory: { draining: true }, drift: [] },
    { name: 'theirs', drain: false, inventory: { draining: true }, drift: [] },
  ].map((node) => ({ ...said, ...node }));
  const asked: unknown[] = [];
  const list = (...args: unknown[]) => {
    asked.push(args);
    return nodes.values();
  };
  const client = { list } as unknown as ControlPlaneClient;
  const program = new Command();
  addNodeCommands(program, async (work) => void (await work(client)));
  let shown = '';
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    shown += String(text);
    return true;
  });

  await program.parseAsync(['nodes', 'list', '--readiness', 'not_ready'], { from: 'user' });

  expect(asked).toEqual([['/api/v1/nodes', { readiness: 'not_ready' }]]);
  expect(shown).toMatch(/^- +new .* not ready .* Compose, disk /m);
  const column = shown.split('\n')[0]?.indexOf('DRAIN');
  const words = shown
    .trim()
    .split('\n')
    .slice(1)
    .map((row) => row.slice(column, (column ?? 0) + 11).trim());
  expect(words).toEqual(['no', 'no', 'yes', 'by its host']);
});

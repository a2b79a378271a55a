import { Command } from 'commander';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { addAllocations } from '../../../../src/cli/gpuaas/allocation-commands.ts';
import type { ControlPlaneClient } from '../../../../src/cli/gpuaas/client.ts';

const shape = { gpu_count: 1, cpu_cores: 8, memory_gib: 64 };
let shown = '';

beforeEach(() => {
  shown = '';
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    shown += String(text);
    return true;
  });
});
afterEach(() => {
  vi.restoreAllMocks();
});

async function run(client: Partial<ControlPlaneClient>, ...args: readonly string[]): Promise<void> {
  const program = new Command();
  addAllocations(program, async (work) => void (await work(client as ControlPlaneClient)));
  await program.parseAsync(['allocations', ...args], { from: 'user' });
}

it('tells what an allocation promises that its host does not have', async () => {
  const excess = [{ name: 'cpu_cores', asked: 8, have: 2 }];
  const items = [
    { id: 'a1', shape, excess: [] },
    { id: 'a2', shape, excess },
  ];

  await run({ list: () => items.values() as never }, 'list');

  const [, fits, exceeds] = shown.split('\n');
  expect([fits?.includes(' of '), exceeds?.endsWith('cpu_cores 8 of 2')]).toEqual([false, true]);
});

it.each<[string, readonly string[], object]>([
  ['one amount, the others as they are', ['--memory', '32'], { shape: { ...shape, memory_gib: 32 } }],
  ['the name alone', ['--name', 'host 2'], { name: 'host 2' }],
  ['the storage alone', ['--no-project-storage'], { project_storage: false }],
])('changes %s', async (_what, options, body) => {
  const change = vi.fn(async () => ({ id: 'a1' }) as never);

  await run({ get: async () => ({ shape }) as never, change }, 'change', 'a1', ...options);

  expect(change).toHaveBeenCalledWith('PATCH', '/api/v1/allocations/a1', body);
});

import { afterEach, expect, it, vi } from 'vitest';
import { gpuaas } from '../../../../src/cli/gpuaas-main.ts';

afterEach(() => {
  vi.restoreAllMocks();
});

it.each([
  [['nodes', 'lsit'], 'lsit', 'list'],
  [['apps', 'instance', 'list'], 'instance', 'instances'],
  [['apps', 'instances', 'dscribe', 'i-1'], 'dscribe', 'describe'],
  [['nodse'], 'nodse', 'nodes'],
])('%j is an unknown command, and the nearest one is named', async (args, word, nearest) => {
  const lines: string[] = [];
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => lines.push(String(text)) > 0);

  const status = await gpuaas(args);

  expect(status).toBe(2);
  expect(lines.join('')).toContain(`error: unknown command '${word}'\n(Did you mean ${nearest}?)\n`);
});

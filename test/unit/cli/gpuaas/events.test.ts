import { afterEach, expect, it, vi } from 'vitest';
import type { ControlPlaneClient } from '../../../../src/cli/gpuaas/client.ts';
import { printEvents } from '../../../../src/cli/gpuaas/events.ts';

afterEach(() => {
  vi.restoreAllMocks();
});

it('says of each event who asked for it', async () => {
  const event = (actor: string) => ({
    seq: 1,
    time: '2026-11-25T10:00:00Z',
    type: 'apps.x',
    message: 'It\nhappened.',
    actor,
  });
  const items = [event('token:t-1'), event('node:n-1'), event('system')];
  const client = { get: async () => ({ items }) } as unknown as ControlPlaneClient;
  const lines: string[] = [];
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => lines.push(String(text)) > 0);

  await printEvents(client, 'i-1', { follow: false, json: false });

  expect(lines).toEqual([
    '2026-11-25T10:00:00Z  apps.x  It\\nhappened.  (by token t-1)\n',
    '2026-11-25T10:00:00Z  apps.x  It\\nhappened.  (by node n-1)\n',
    '2026-11-25T10:00:00Z  apps.x  It\\nhappened.  (by the control plane)\n',
  ]);
});

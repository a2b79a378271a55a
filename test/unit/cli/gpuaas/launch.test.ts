import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, it, vi } from 'vitest';
import { ControlPlaneClient } from '../../../../src/cli/gpuaas/client.ts';
import { launch } from '../../../../src/cli/gpuaas/launch.ts';

const instance = { id: 'i-1', state: 'deploying', desired: 'running', state_since: '2026-11-25T10:00:00Z' };
const credentials = [{ endpoint: 'web', token: 'only-here', url_query: 'token' }];
const server = createServer((request, response) => {
  if (request.method === 'POST') response.end(JSON.stringify({ ...instance, credentials }));
  else if (request.url?.startsWith('/api/v1/events')) response.write(': connected\n\n');
  else response.end(JSON.stringify(instance));
});

afterEach(() => {
  vi.restoreAllMocks();
  server.closeAllConnections();
  server.close();
});

it('has said the credentials of a launch, as JSON too, before it can give up waiting', async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const steps: string[] = [];
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => steps.push(String(text)) > 0);

  const late = launch(new ControlPlaneClient({ url, token: 'secret' }), 'web@1', {
    ...{ set: {}, wait: true, timeout: 0.2, json: true },
  });

  await expect(late).rejects.toMatchObject({ code: 'command.timed_out' });
  expect(JSON.parse(steps[0] ?? '')).toEqual({ type: 'accepted', instance: 'i-1', credentials });
});

import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, it } from 'vitest';
import { resolveBases } from '../../../../src/server/revisions/resolve-bases.ts';
import { atFileEnd } from '../../../support/file-end.ts';

it('names the registry that says nothing', async () => {
  const patience = new AbortController();
  const registry = createServer(() => patience.abort()).listen(0, '127.0.0.1');
  await once(registry, 'listening');
  atFileEnd(async () => {
    registry.closeAllConnections();
    registry.close();
  });
  const host = `127.0.0.1:${(registry.address() as AddressInfo).port}`;
  const resolving = {
    ...{ registries: [host], platform: 'linux/amd64', isOwn: () => false },
    ownLogin: async () => undefined,
  };

  const silent = ['one', 'two', 'three', 'four', 'five'].map((name) => `${host}/${name}:1`);
  const names = [...silent, 'elsewhere.example/six:1'];
  const asking = { signal: new AbortController().signal, patience: patience.signal };
  const { bases, errors } = await resolveBases(names, resolving, asking);

  expect(bases).toEqual([]);
  const pull = { path: '/build/dockerfile', code: 'image.pull_failed' };
  expect(errors).toContainEqual({ ...pull, message: expect.stringContaining(`names ${host}/one:1: `) });
  expect(errors).toContainEqual({ ...pull, message: expect.stringContaining(`The registry ${host} does not answer`) });
  // Four are asked for at a time, and nobody is told of a registry that was never asked that it is silent.
  expect(errors).toContainEqual({ ...pull, message: expect.stringContaining(`The registry ${host} was not asked`) });
  expect(errors).toContainEqual(expect.objectContaining({ code: 'image.registry_denied' }));
});

/** Whose pushes are judged when. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, it } from 'vitest';
import { eventually } from '../../../support/eventually.ts';
import { atFileEnd } from '../../../support/file-end.ts';
import { testServer } from '../../../support/test-server.ts';
import { tarOf } from '../../kit/tarball/tar-bytes.ts';

const registry = createServer(() => undefined).listen(0, '127.0.0.1');
await once(registry, 'listening');
const host = `127.0.0.1:${(registry.address() as AddressInfo).port}`;
atFileEnd(async () => {
  registry.closeAllConnections();
  registry.close();
});
const server = await testServer({ registries: [host] });
const { call } = server;

/** Its address, once all of it was sent. */
async function push(tarball: Uint8Array, project: string, as: string): Promise<string> {
  const pushes = `/api/v1/projects/${project}/pushes`;
  const { body } = await call('POST', pushes, { as, body: { bytes: tarball.length } });
  await fetch(`${server.url}${pushes}/${body.id}?offset=0`, {
    ...{ method: 'PUT', body: new Uint8Array(tarball) },
    headers: { authorization: `Bearer ${server.tokens[as]}`, 'content-type': 'application/octet-stream' },
  });
  return `${pushes}/${body.id}`;
}

it('a project whose pushes wait for a registry holds up those of no other project', async () => {
  const manifest = {
    version: 1,
    runtime: { kind: 'oci', sandbox: 'gvisor', workdir: '/workspace' },
    entrypoint: { command: ['python', 'job.py'] },
  };
  const images = Array.from({ length: 40 }, (_, index) => `COPY --from=${host}/image-${index} / /\n`);
  const slow = tarOf(
    { name: 'computalot.project.json', content: JSON.stringify(manifest) },
    { name: 'Dockerfile', content: `FROM scratch\n${images.join('')}` },
  );
  const waiting = [
    await push(slow, 'p1', 'member'),
    await push(slow, 'p1', 'member'),
    await push(slow, 'p1', 'member'),
  ];
  const stateOf = async (address: string) => (await call('GET', address)).body.state;

  const other = await push(tarOf({ name: 'job.py', content: 'print(1)' }), 'p2', 'stranger');

  await eventually(async () => expect(await stateOf(other)).toBe('refused'));
  expect(await Promise.all(waiting.map(stateOf))).toEqual(['judging', 'judging', 'judging']);
});

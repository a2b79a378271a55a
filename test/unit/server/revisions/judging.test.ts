/** Whose pushes are judged when. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, it } from 'vitest';
import { eventually } from '../../../support/eventually.ts';
import { atFileEnd } from '../../../support/file-end.ts';
import { aProject } from '../../../support/store-samples.ts';
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

const stateOf = async (address: string) => (await call('GET', address)).body.state;

/** Built on forty images of a registry that says nothing. */
function slowProject(): Uint8Array {
  const manifest = {
    version: 1,
    runtime: { kind: 'oci', sandbox: 'gvisor', workdir: '/workspace' },
    entrypoint: { command: ['python', 'job.py'] },
  };
  const images = Array.from({ length: 40 }, (_, index) => `COPY --from=${host}/image-${index} / /\n`);
  return tarOf(
    { name: 'computalot.project.json', content: JSON.stringify(manifest) },
    { name: 'Dockerfile', content: `FROM scratch\n${images.join('')}` },
  );
}

it('projects whose pushes wait for a registry hold up those of no other project', async () => {
  const slow = slowProject();
  const names = ['p1', ...Array.from({ length: 7 }, (_, index) => `slow-${index}`)];
  await server.store.write(async (tx) => {
    for (const name of names.slice(1)) await tx.projects.insert(aProject({ id: name, name }));
  });
  const waiting: string[] = [];
  for (const project of [...names, 'p1']) waiting.push(await push(slow, project, 'admin'));

  const other = await push(tarOf({ name: 'job.py', content: 'print(1)' }), 'p2', 'stranger');

  await eventually(async () => expect(await stateOf(other)).toBe('refused'));
  expect(new Set(await Promise.all(waiting.map(stateOf)))).toEqual(new Set(['judging']));
});

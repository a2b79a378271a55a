/** Whose pushes are judged when. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, it } from 'vitest';
import type { Push } from '../../../../src/server/db/entities/revision.ts';
import { assertJudgedSoon } from '../../../../src/server/revisions/keep-pushes.ts';
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

/** Its address, and the answer to all of it. */
async function sent(tarball: Uint8Array, project: string, as: string) {
  const pushes = `/api/v1/projects/${project}/pushes`;
  const { body } = await call('POST', pushes, { as, body: { bytes: tarball.length } });
  const address = `${pushes}/${body.id}`;
  return { address, answer: await put(address, tarball, as) };
}

async function put(address: string, tarball: Uint8Array, as: string): Promise<Response> {
  return await fetch(`${server.url}${address}?offset=0`, {
    ...{ method: 'PUT', body: new Uint8Array(tarball) },
    headers: { authorization: `Bearer ${server.tokens[as]}`, 'content-type': 'application/octet-stream' },
  });
}

const push = async (...whose: Parameters<typeof sent>) => (await sent(...whose)).address;

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

it('a project has eight pushes that wait at most; one more is told when to go on, and does', async () => {
  await server.store.write((tx) => tx.projects.insert(aProject({ id: 'crowd', name: 'crowd' })));
  const waiting: string[] = [];
  for (let count = 0; count < 8; count += 1) waiting.push(await push(slowProject(), 'crowd', 'admin'));

  const { address, answer } = await sent(slowProject(), 'crowd', 'admin');

  expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, '15']);
  expect(await answer.json()).toMatchObject({
    error: { code: 'server.busy', message: expect.stringContaining('8 pushes of the project wait to be judged') },
  });
  expect((await call('GET', address)).body).toMatchObject({ state: 'receiving', received: 0 });
  await server.store.write(async (tx) => {
    const last = await tx.pushes.get(waiting.at(-1)?.split('/').at(-1) ?? '');
    if (last) await tx.pushes.delete(last.id);
  });
  expect((await put(address, slowProject(), 'admin')).status).toBe(200);
  expect(await stateOf(address)).toBe('judging');
});

it.each<[string, number, number, boolean]>([
  ['few wait', 63, 1, true],
  ['many wait, and one of its own', 64, 1, false],
  ['many wait, and none of its own', 64, 0, true],
  ['what waits is large, and one of it is its own', 33, 1, false],
  ['what waits is large, and none of it is its own', 33, 0, true],
  ['as many wait as may', 256, 0, false],
])('where %s, a push goes on or is told to wait', async (what, count, own, goesOn) => {
  const bytes = what.includes('large') ? 2 * 2 ** 30 : 1;
  const waiting = Array.from({ length: count }, (_, index) => ({
    project_id: index < own ? 'mine' : `p${index}`,
    bytes,
  }));
  const tx = { pushes: { list: async () => waiting } } as never;
  const asked = assertJudgedSoon(tx, { project_id: 'mine', bytes: 1 } as Push);

  if (goesOn) await expect(asked).resolves.toBeUndefined();
  else await expect(asked).rejects.toMatchObject({ code: 'server.busy', detail: { retry_after_seconds: 15 } });
});

/** `gpuaas jobs revisions`, against a control plane of its own. */
import { randomBytes } from 'node:crypto';
import { expect, it } from 'vitest';
import type { KeptItem } from '../../../../src/contract/kept-items.ts';
import { aNode, inventory } from '../../../support/launch-samples.ts';
import { haveRevision } from '../../../support/revision-samples.ts';
import { runGpuaas } from '../../../support/run-gpuaas.ts';
import { testServer } from '../../../support/test-server.ts';

const server = await testServer();
const run = (as: string, ...words: string[]) =>
  runGpuaas({ url: server.url, token: server.tokens[as] ?? '' }, ['jobs', 'revisions', ...words]);
await server.store.write((tx) => tx.nodes.insert(aNode({ id: 'n1', name: 'host-one' })));

it('shows revisions, where they are prepared, and removes one (X-14)', async () => {
  const none = await run('member');
  const fresh = await haveRevision(server, randomBytes(10));
  const prepared_on = [{ node_id: 'n1', at: '2026-11-25T10:00:00.000Z' }];
  const built = await haveRevision(server, randomBytes(10), { prepared_on }, { version: 1, note: 'mine' });

  const listed = await run('member');
  const described = await run('member', 'describe', built.sha256);
  const manifest = await run('member', 'describe', built.sha256, '--manifest');
  const removed = await run('member', 'remove', fresh.sha256);
  const gone = await run('member', 'describe', fresh.sha256);

  expect(none.err).toContain('No revisions.');
  expect(listed.out.split('\n').find((line) => line.includes(fresh.sha256))).toMatch(/yes +no host yet/);
  expect(listed.out.split('\n').find((line) => line.includes(built.sha256))).toMatch(/yes +host-one/);
  expect(described.out).toContain('host-one');
  expect(JSON.parse(manifest.out)).toEqual({ version: 1, note: 'mine' });
  expect(removed.out).toBe(`${fresh.sha256} is gone.\n`);
  expect([gone.status, gone.err]).toEqual([expect.any(Number), expect.stringContaining('No revision')]);
});

it('names no host that says since that it has the image no more', async () => {
  const { sha256 } = await haveRevision(server, randomBytes(10), {
    prepared_on: [{ node_id: 'n2', at: '2026-11-25T10:00:00.000Z' }],
  });
  const { project_id } = await server.store.read(
    async (tx) => (await tx.revisions.find({ project_id: 'p1', sha256 })) ?? { project_id: '' },
  );
  const image = {
    ...{ id: '0'.repeat(24), kind: 'image' as const, project_id, revision_sha256: sha256, name: null },
    ...{ class: null, bytes: 1, max_bytes: null, used_at: null, in_use: false },
  };
  const shownWith = async (at: string, kept: KeptItem[]) => {
    await server.store.write((tx) =>
      tx.nodes.put(aNode({ id: 'n2', name: 'host-two', inventory: inventory({ at, kept }) })),
    );
    return (await run('member', 'describe', sha256)).out.includes('host-two');
  };
  await server.store.write((tx) => tx.nodes.insert(aNode({ id: 'n2', name: 'host-two' })));

  expect(await shownWith('2026-11-25T10:00:00.000Z', [])).toBe(true);
  expect(await shownWith('2026-11-25T10:01:00.000Z', [image])).toBe(true);
  expect(await shownWith('2026-11-25T10:01:00.000Z', [])).toBe(false);
});

it('needs a project only where a token sees several', async () => {
  const refused = await run('admin', 'list');
  const named = await run('admin', 'list', '--project', 'p2');

  expect(refused.err).toContain('Name it with --project or GPUAAS_PROJECT');
  expect(named.err).toContain('No revisions.');
});

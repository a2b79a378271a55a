/** The release root of a control plane: its own, or the public half of one that is somewhere else. */
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { openDataDir } from '../../../../src/server/data-dir.ts';
import { aNode } from '../../../support/launch-samples.ts';
import { makeSigners } from '../../../support/releases.ts';
import { temporaryFolder } from '../../../support/temporary-folder.ts';

const now = Date.parse('2026-11-25T10:00:00Z');

/** Opens the folder, and says which root it has then. */
async function rootOf(folder: string, given: object = {}, nodes: number = 0): Promise<string> {
  const data = await openDataDir(folder, { init: true, newAdminToken: false, newKeys: false, now, ...given });
  for (let index = 0; index < nodes; index += 1) {
    await data.store.write((tx) => tx.nodes.insert(aNode({ id: `n${index}` })));
  }
  const { x } = data.keys.releaseRoot;
  await data.close();
  return x;
}

it('is imported before there is any, and kept from then on', async () => {
  const folder = join(temporaryFolder('release-root'), 'data');
  const { root } = makeSigners();

  const imported = await rootOf(folder, { releaseRoot: root });

  expect([imported, await rootOf(folder), await rootOf(folder, { releaseRoot: root })]).toEqual(Array(3).fill(root.x));
});

it('takes the place of its own one as long as no node believes that', async () => {
  const folder = join(temporaryFolder('release-root'), 'data');
  const own = await rootOf(folder);
  const { root } = makeSigners();

  expect(own).not.toBe(root.x);
  expect(await rootOf(folder, { releaseRoot: root })).toBe(root.x);
});

it('is not replaced once nodes have enrolled, unless somebody says that this is meant', async () => {
  const folder = join(temporaryFolder('release-root'), 'data');
  const own = await rootOf(folder, {}, 2);
  const { root: releaseRoot } = makeSigners();

  const refused = rootOf(folder, { releaseRoot });
  await expect(refused).rejects.toMatchObject({ code: 'server.config_invalid', detail: { nodes: 2 } });
  const after = await rootOf(folder);
  const replaced = await rootOf(folder, { releaseRoot, replaceReleaseRoot: true });

  expect([after, replaced]).toEqual([own, releaseRoot.x]);
});

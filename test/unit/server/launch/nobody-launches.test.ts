import { join } from 'node:path';
import { expect, it } from 'vitest';
import { openSqliteStore } from '../../../../src/server/db/sqlite/sqlite-store.ts';
import { warnIfNobodyLaunches } from '../../../../src/server/launch/nobody-launches.ts';
import { atFileEnd } from '../../../support/file-end.ts';
import { aNode } from '../../../support/launch-samples.ts';
import { temporaryFolder } from '../../../support/temporary-folder.ts';

const store = openSqliteStore(join(temporaryFolder('nobody'), 'control-plane.db'));
atFileEnd(() => store.close());

async function warnings(launchEnabled: boolean): Promise<unknown[]> {
  const said: unknown[] = [];
  const log = { warn: (values: object, text: string) => said.push([values, text]) };
  await warnIfNobodyLaunches(store, launchEnabled, log as unknown as Parameters<typeof warnIfNobodyLaunches>[2]);
  return said;
}

it('warns where launches are switched on and no node reports the handlers (G-189)', async () => {
  const text = expect.stringContaining('no node has an agent');

  expect(await warnings(false)).toEqual([]);
  expect(await warnings(true)).toEqual([[{ nodes: 0 }, text]]);
  await store.write((tx) => tx.nodes.insert(aNode({ id: 'n1', task_types: [{ type: 'agent.drain', version: 1 }] })));
  await store.write((tx) => tx.nodes.insert(aNode({ id: 'n2', status: 'revoked' })));
  expect(await warnings(true)).toEqual([[{ nodes: 1 }, text]]);
  await store.write((tx) => tx.nodes.insert(aNode({ id: 'n3' })));
  expect(await warnings(true)).toEqual([]);
});

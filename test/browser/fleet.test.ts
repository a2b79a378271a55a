/** What operators see of the fleet. */
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { buildConsole } from '../../bootstrap/dev/build-console.ts';
import { AgentError } from '../../src/contract/failures.ts';
import type { NodeUpdate } from '../../src/server/db/entities/node.ts';
import { visit } from '../support/browser.ts';
import { openSeededConsole, type SeededConsole, signIn } from '../support/console-ground.ts';
import { openPage } from '../support/console-pages.ts';
import { aNode } from '../support/launch-samples.ts';
import { makeRelease, makeSigners } from '../support/releases.ts';
import { anAllocation, anEvent, aRollout } from '../support/store-samples.ts';
import { type TestServer, testServer } from '../support/test-server.ts';

const keptCache = {
  ...{ id: '0'.repeat(24), kind: 'cache' as const, project_id: 'p1', revision_sha256: 'ab'.repeat(32) },
  ...{
    name: 'weights',
    class: 'model' as const,
    bytes: 3 * 2 ** 30,
    max_bytes: 8 * 2 ** 30,
    used_at: null,
    in_use: true,
  },
};
const ending = '0190a000-0000-7000-8000-00000000e4d1';
let ground: SeededConsole;
beforeAll(async () => {
  ground = await openSeededConsole({ nodes: 5, instances: 2 }, async (tx) => {
    const node = await tx.nodes.get('node-1');
    if (!node) throw new Error('the fleet has no node-1');
    const workloads = ['instance-1', 'nobody-knows'].map((workload_id) => workload(workload_id, node.allocation_id));
    await tx.nodes.put({
      ...node,
      topology: { at: '2026-11-25T12:00:00.000Z', workloads },
      inventory: node.inventory && { ...node.inventory, kept: [keptCache] },
    });
    await tx.allocations.insert(
      anAllocation({
        ...{ id: ending, name: 'ending', state: 'releasing', node_id: 'node-2', data_policy: 'wipe' },
        wipe: { state: 'failed', task_id: 'task-1', reason: '/home/lab/gpuaas has another file system mounted in it.' },
      }),
    );
  });
});
afterAll(() => ground?.close());

function workload(workload_id: string, allocation_id: string) {
  const at = '2026-11-25T12:00:00.000Z';
  return {
    ...{ workload_id, allocation_id, project_id: 'p1', fencing: 1, endpoints: [], restarts: 0, since: at },
    state: 'running' as const,
  };
}

interface Catalog {
  readonly items: readonly { readonly slug: string; readonly versions: readonly { readonly version: string }[] }[];
}

const rowOf = (page: Page, name: string) => page.getByRole('row').filter({ hasText: name });

it('shows of each node whether it can take work, and when it was last asked (G-198)', async () => {
  await visit(ground.url, async (page) => {
    await signIn(page, ground.fleet.tokens.operator);
    await openPage(page, ground.url, ['/nodes', 'Nodes']);

    const titles = await page.getByRole('columnheader').allTextContents();
    const [known = '', drained = ''] = [
      await rowOf(page, 'gpu-0').textContent(),
      await rowOf(page, 'gpu-4').textContent(),
    ];
    await openPage(page, ground.url, ['/nodes/node-4', 'gpu-4']);

    expect(titles).toEqual(expect.arrayContaining(['Readiness', 'Drift', 'Last probe']));
    expect(known).toMatch(/Unknown.*disconnected.* ago$/);
    expect(drained).toMatch(/Not ready.*draining.* ago$/);
    await page.getByRole('main').getByText('It is draining.').waitFor();
    await page.getByText('None was found on it.').waitFor();
  });
});

it('shows what a node keeps for later jobs, with its class, project and size (C-51)', async () => {
  await visit(ground.url, async (page) => {
    await signIn(page, ground.fleet.tokens.viewer);
    await openPage(page, ground.url, ['/nodes/node-1', 'gpu-1']);

    const kept = page.getByRole('listitem').filter({ hasText: 'weights' });
    expect(await kept.textContent()).toMatch(/weights model abababababab of p1.*3.2 GB of 8.6 GB.*in use/);
  });
});

it('drains a node when its operator has said so twice, and shows it to everybody at once', async () => {
  await visit(ground.url, async (page) => {
    await signIn(page, ground.fleet.tokens.operator);
    await visit(ground.url, async (other) => {
      await signIn(other, ground.fleet.tokens.admin);
      await openPage(other, ground.url, ['/nodes', 'Nodes']);
      expect(await rowOf(other, 'gpu-1').textContent()).not.toContain('draining');
      await openPage(page, ground.url, ['/nodes/node-1', 'gpu-1']);

      await page.getByRole('button', { name: 'Drain' }).click();
      await page.getByRole('dialog').getByRole('button', { name: 'Drain' }).click();

      await rowOf(other, 'gpu-1').getByText('draining').waitFor();
      await page.getByRole('button', { name: 'End the drain' }).waitFor();
    });
  });
});

it('names the host of an allocation and what runs there, and leads from each to its page', async () => {
  await visit(ground.url, async (page) => {
    await signIn(page, ground.fleet.tokens.viewer);
    await openPage(page, ground.url, ['/allocations/0190a000-0000-7000-8000-000000000001', 'lab 1']);

    await page.getByRole('link', { name: 'gpu-1' }).click();
    await page.getByRole('heading', { name: 'gpu-1', level: 1 }).waitFor();
    const instance = page.getByRole('link', { name: 'Notebook 1' });
    await instance.waitFor();
    expect(await rowOf(page, 'nobody-knows').getByRole('link').count()).toBe(0);
    await instance.click();

    await page.getByRole('heading', { name: 'Notebook 1', level: 1 }).waitFor();
  });
});

it('says how a host gets on with wiping an allocation, and asks again for what failed', async () => {
  await visit(ground.url, async (page) => {
    await signIn(page, ground.fleet.tokens.admin);
    await openPage(page, ground.url, [`/allocations/${ending}`, 'ending']);
    await page.getByText('data is not wiped yet: /home/lab/gpuaas has another file system mounted in it.').waitFor();
    expect(await page.getByRole('button', { name: 'Join' }).count()).toBe(0);

    await page.getByRole('button', { name: 'Release' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Release the allocation' }).click();

    await page.getByText('its host wipes the data').waitFor();
    await page.getByRole('button', { name: 'Release' }).waitFor({ state: 'detached' });
  });
});

it('shows why an image was ended on its page, and to those who run it', async () => {
  await visit(ground.url, async (page) => {
    await signIn(page, ground.fleet.tokens.operator);
    await openPage(page, ground.url, ['/artifacts/artifact-0', 'runtime-cpu']);

    await page.getByRole('button', { name: 'Retire' }).click();
    await page.getByRole('dialog').getByLabel('Reason').fill('Nobody builds it any more.');
    await page.getByRole('dialog').getByRole('button', { name: 'Retire' }).click();

    await page.getByRole('main').getByText('It was retired. Reason: Nobody builds it any more.').waitFor();
    await openPage(page, ground.url, ['/instances/instance-1', 'Notebook 1']);
    await page.getByRole('note').getByText('Its image is retired. Reason: Nobody builds it any more.').waitFor();
  });
});

it('shows a member what is offered and what is not any more, without being loaded again', async () => {
  await visit(ground.url, async (page) => {
    await signIn(page, ground.fleet.tokens.member);
    await page.getByRole('article', { name: 'vLLM' }).waitFor();
    const { body } = await ground.call('GET', '/api/v1/catalog/apps');
    const vllm = (body as Catalog).items.find(({ slug }) => slug === 'vllm-openai');

    await ground.call('POST', `/api/v1/catalog/apps/vllm-openai/versions/${vllm?.versions[0]?.version}/withdraw`);
    await page.getByRole('article', { name: 'vLLM' }).getByText('It has no version yet.').waitFor();

    const card = { slug: 'later', display_name: 'Added later', summary: 'Was not there.', category: 'test' };
    await ground.call('POST', '/api/v1/catalog/apps', card);
    await page.getByRole('article', { name: 'Added later' }).waitFor();
  });
});

it('shows who is behind, and how far the update of a node is, as it happens', async () => {
  const signers = makeSigners();
  const server = await testServer({}, { console: buildConsole, releaseRoot: signers.root });
  await server.call('POST', '/api/v1/releases', { body: makeRelease(signers).papers });
  await server.store.write(async (tx) => {
    await tx.allocations.insert(anAllocation());
    await tx.nodes.insert(aNode({ id: 'node-1', name: 'gpu-1' }));
    await tx.rollouts.insert(aRollout({ version: '1.2.0', state: 'paused', reason: 'Not yet.' }));
  });

  await visit(server.url, async (page) => {
    await signIn(page, server.tokens['operator'] ?? '');
    await openPage(page, server.url, ['/nodes', 'Nodes']);
    await rowOf(page, 'gpu-1').getByText('behind 1.2.0').waitFor();
    await openPage(page, server.url, ['/nodes/node-1', 'gpu-1']);
    await page.getByText('0.1.0, behind 1.2.0').waitFor();

    await update(server, { state: 'running', phase: 'downloading', bytes: 1, bytes_total: 4 });
    await page.getByText('to 1.2.0: downloading 25 %').waitFor();
    const failure = new AgentError('update.rolled_back').toFailure();
    await update(server, { state: 'rolled_back', phase: 'rolled_back', failure });
    await page.getByText('to 1.2.0: rolled back').waitFor();
    await page.getByText(failure.message).waitFor();
  });
});

/** As the control plane keeps it, with its event. */
async function update({ store }: TestServer, given: Partial<NodeUpdate>): Promise<void> {
  const since = '2026-11-25T10:00:00.000Z';
  await store.write(async (tx) => {
    const node = await tx.nodes.get('node-1');
    if (!node) throw new Error('there is no node-1');
    const update: NodeUpdate = {
      ...{ state: 'queued', version: '1.2.0', from: '0.1.0', phase: null, since, failure: null },
      ...{ task_id: 'task-1', rollout_id: null, ...given },
    };
    await tx.nodes.put({ ...node, update });
    const subject = { kind: 'node', id: 'node-1' } as const;
    await tx.events.append(anEvent({ type: `node.update_${update.state}`, project_id: null, subject }));
  });
}

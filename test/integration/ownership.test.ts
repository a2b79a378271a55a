/** An instance id belongs to the project and the allocation that launched it: nobody else has a say over it, whatever his fencing. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { workloadRoot } from '../../src/policy/host-policy.ts';
import { containerOf, containersNamed, inspectRaw, networksOf, succeeded } from '../support/looking.ts';
import { type LaunchParams, openTestHost, readyAtOnce, type TestHost } from '../support/test-host.ts';

let host: TestHost;
let owned: LaunchParams;
let file: string;

beforeAll(async () => {
  host = await openTestHost();
});
beforeEach(async () => {
  owned = host.launchParams(await host.image('tiny'), {
    mounts: [{ name: 'workspace', path: '/workspace', mode: 'scratch', read_only: false }],
    readiness: readyAtOnce,
  });
  succeeded(await host.run('workload.oci_launch', owned));
  file = join(workloadRoot(host.policy, owned.identity.app_instance_id), 'workspace/thesis.txt');
  writeFileSync(file, 'years of work');
});
afterEach(async () => await host.clear());
afterAll(async () => await host?.close());

describe.each([
  ['project', { project_id: 'project-other' }],
  ['allocation', { allocation_id: 'allocation-other' }],
])('a task of another %s, with the newest fencing', (_whose, other) => {
  const foreign = () => ({ ...owned.identity, ...other });

  it.each(['stop', 'start', 'restart'] as const)('does not %s the workload', async (action) => {
    const before = await lookAtIt();

    const result = await host.run('workload.oci_control', { identity: foreign(), action, grace_seconds: 0 });

    expect(refusalOf(result)).toEqual({ ended: true, code: 'task.untrusted' });
    expect(await lookAtIt()).toEqual(before);
  });

  it.each([true, false])('does not remove it (keep_data %s)', async (keep_data) => {
    const before = await lookAtIt();

    const result = await host.run('workload.oci_remove', { identity: foreign(), keep_data, grace_seconds: 0 });

    expect(refusalOf(result)).toEqual({ ended: true, code: 'task.untrusted' });
    expect(await lookAtIt()).toEqual(before);
  });

  it.each([
    ['the same', {}],
    ['another', { command: ['exit 1'] }],
  ])('does not launch %s in its place', async (_what, over) => {
    const before = await lookAtIt();

    const result = await host.run('workload.oci_launch', { ...owned, ...over, identity: foreign() });

    expect(refusalOf(result)).toEqual({ ended: true, code: 'task.untrusted' });
    expect(await lookAtIt()).toEqual(before);
  });

  it('learns nothing about it', async () => {
    const { failure, output } = await host.run('workload.oci_control', {
      ...{ identity: foreign(), action: 'start', grace_seconds: 0 },
    });

    const told = JSON.stringify([failure, output]);
    expect(told).not.toContain(owned.identity.project_id);
    expect(told).not.toContain((await inspectRaw(host, containerOf(owned))).Id);
  });
});

it('a task of the owner is carried out afterwards', async () => {
  const { identity } = owned;
  await host.run('workload.oci_remove', {
    ...{ identity: { ...identity, project_id: 'project-other' }, keep_data: false, grace_seconds: 0 },
  });

  succeeded(await host.run('workload.oci_control', { identity, action: 'restart', grace_seconds: 0 }));
  succeeded(await host.run('workload.oci_remove', { identity, keep_data: false, grace_seconds: 0 }));

  expect(await containersNamed(host, containerOf(owned))).toEqual([]);
  expect(existsSync(file)).toBe(false);
});

function refusalOf({ status, failure }: Awaited<ReturnType<TestHost['run']>>) {
  return { ended: status === 'failed' || status === 'rejected', code: failure?.code };
}

/** All that must not change. */
async function lookAtIt() {
  const { Id, State } = await inspectRaw(host, containerOf(owned));
  const networks = (await networksOf(host, containerOf(owned))).length;
  return { id: Id, pid: State.Pid, status: State.Status, networks, data: readFileSync(file, 'utf8') };
}

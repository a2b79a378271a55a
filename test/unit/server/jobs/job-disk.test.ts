/** The disk of jobs: what would make room for them counts, and what they ask for is held for them. */
import { expect, it } from 'vitest';
import type { JobPlan } from '../../../../src/contract/job-plan.ts';
import { eventually } from '../../../support/eventually.ts';
import { jobServer } from '../../../support/job-server.ts';

const { hello, submit, store, connect, job } = await jobServer();
const host = await connect();

/** What the host says of its disk in GiB, and of the plans that it carries out. */
async function disk(free: number, evictable: number | undefined, plans: string[] = []): Promise<void> {
  await store.write(async (tx) => {
    const node = await tx.nodes.get('node-1');
    const { runtime } = node ?? {};
    if (!node || !runtime) throw new Error('the host has said nothing');
    const disk_gib = { total: 500, reserved: 2, used: 300, free, ...(evictable !== undefined && { evictable }) };
    const resources = { ...runtime.resources, disk_gib };
    const offers = { sandboxes: ['runc', 'gvisor'], builds: false, plans };
    await tx.nodes.put({ ...node, runtime: { ...runtime, resources, offers } });
  });
}

async function submitted(disk_gib: number): Promise<string> {
  const resources = { disk_gib, cpu_cores: 0.1, memory_gib: 0.25 };
  const { status, body } = await submit(hello(), { options: { resources } });
  expect(status).toBe(201);
  return body.id;
}

it('a job goes where caches and images would make room for it, and its host is told for how much', async () => {
  await disk(10, 30, ['disk']);
  const id = await submitted(40);

  const task = await host.agent.accept();
  expect([task.workload_id, (task.params as JobPlan).disk_gib]).toEqual([id, 40]);
});

it('an agent of before room was made is not told, and what a job asks for is held until it is over', async () => {
  await disk(190, undefined);
  const first = await submitted(100);
  const task = await host.agent.accept();
  expect([task.workload_id, (task.params as JobPlan).disk_gib]).toEqual([first, undefined]);

  const second = await submitted(100);
  await eventually(async () => expect((await job(second)).reason).toContain('100 GiB of disk, of 50 that are free'));
  // It has written 90 of its 100 meanwhile.
  await disk(100, undefined);
  const third = await submitted(45);
  expect((await host.agent.accept()).workload_id).toBe(third);
  expect((await job(second)).state).toBe('queued');
});

/** The disk of jobs: what would make room for them counts, and what they ask for is held for them. */
import { expect, it } from 'vitest';
import { AgentError } from '../../../../src/contract/failures.ts';
import type { JobPlan } from '../../../../src/contract/job-plan.ts';
import { eventually } from '../../../support/eventually.ts';
import { jobServer } from '../../../support/job-server.ts';

const { hello, submit, store, connect, job, advance } = await jobServer();
const host = await connect();

interface Said {
  readonly free: number;
  readonly evictable?: number;
  readonly held?: Record<string, number>;
}

/** What the host says of its disk in GiB, and of the plans that it carries out. */
async function disk(said: Said, plans: string[] = []): Promise<void> {
  await store.write(async (tx) => {
    const node = await tx.nodes.get('node-1');
    const { runtime } = node ?? {};
    if (!node || !runtime) throw new Error('the host has said nothing');
    const resources = { ...runtime.resources, disk_gib: { total: 500, reserved: 2, used: 300, ...said } };
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
  await disk({ free: 10, evictable: 30 }, ['disk']);
  const id = await submitted(40);

  const task = await host.agent.accept();
  expect([task.workload_id, (task.params as JobPlan).disk_gib]).toEqual([id, 40]);
});

it('an agent of before room was made is not told, and what a job asks for is held until its host says what it has written', async () => {
  await disk({ free: 190 });
  const first = await submitted(100);
  const task = await host.agent.accept();
  expect([task.workload_id, (task.params as JobPlan).disk_gib]).toEqual([first, undefined]);

  const second = await submitted(100);
  await eventually(async () => expect((await job(second)).reason).toContain('100 GiB of disk, of 50 that are free'));
  await disk({ free: 100, held: { [first]: 10 } });
  const third = await submitted(45);
  expect((await host.agent.accept()).workload_id).toBe(third);
  expect((await job(second)).state).toBe('queued');
});

it('one that its host has refused keeps its place in the queue, and says why beside when it is begun again', async () => {
  await disk({ free: 400, held: {} }, ['disk']);
  // That which has waited goes first.
  await host.agent.accept();
  const id = await submitted(20);
  const { queued_at: since } = await job(id);
  const task = await host.agent.accept();
  expect(task.workload_id).toBe(id);
  advance(5000);
  const failure = new AgentError('disk.full', { reason: 'It has 5 GiB for it.' }).toFailure();
  host.end(task, { status: 'rejected', failure });

  await eventually(async () => {
    expect((await job(id)).reason).toMatch(/^It is begun again at .*: The host has not enough free disk/);
  });
  expect((await job(id)).queued_at).toBe(since);
});

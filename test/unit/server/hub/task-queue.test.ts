import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { AgentError } from '../../../../src/contract/failures.ts';
import type { TaskResult } from '../../../../src/contract/task-envelope.ts';
import type { Task } from '../../../../src/server/db/entities/task.ts';
import { openSqliteStore } from '../../../../src/server/db/sqlite/sqlite-store.ts';
import type { Store, Tx } from '../../../../src/server/db/store.ts';
import {
  accepted,
  claim,
  handOutAgain,
  type LeasedTask,
  lapse,
  lapseAll,
  refused,
} from '../../../../src/server/hub/leases.ts';
import { type NewTask, TaskQueue } from '../../../../src/server/hub/task-queue.ts';
import { type ManualClock, manualClock } from '../../../support/manual-clock.ts';
import { type RecordingSink, recordingSink } from '../../../support/recording-sink.ts';
import { temporaryFolder } from '../../../support/temporary-folder.ts';

const root = temporaryFolder('task-queue');
const stores: Store[] = [];
let store: Store;
let clock: ManualClock;
let sink: RecordingSink;
let queue: TaskQueue;

beforeEach(() => {
  store = openSqliteStore(`${root}/${stores.length}.db`);
  stores.push(store);
  clock = manualClock();
  sink = recordingSink();
  queue = new TaskQueue(sink, clock);
});
afterAll(() => Promise.all(stores.map((each) => each.close())));

const removal: NewTask<'workload.oci_remove'> = {
  ...{
    node_id: 'node-1',
    allocation_id: 'alloc-1',
    workload_id: 'app-1',
    purpose: 'decommission',
    trace_id: 'trace-1',
  },
  type: 'workload.oci_remove',
  params: {
    identity: {
      ...{ project_id: 'p1', app_instance_id: 'app-1', allocation_id: 'alloc-1', app_slug: 'jupyterlab' },
      ...{ app_version: '1', display_name: 'one' },
    },
    keep_data: true,
    grace_seconds: 5,
  },
};

const enqueue = (given: Partial<typeof removal> = {}) =>
  store.write((tx) => queue.enqueue(tx, { ...removal, ...given }));
const claimed = (limit = 10, node = 'node-1') => store.write((tx) => claim(tx, queue, node, limit));
const kept = (id: string) => store.read((tx) => tx.tasks.get(id)) as Promise<Task>;
const pass = () => claimed().then(([task]) => task as LeasedTask);

function resultOf(task_id: string): TaskResult {
  return {
    task_id,
    status: 'succeeded',
    output: null,
    failure: null,
    started_at: queue.now(),
    finished_at: queue.now(),
  };
}

describe('the queue', () => {
  it('numbers the tasks of one workload without ever repeating a number', async () => {
    const numbers = [(await enqueue()).fencing, (await enqueue()).fencing];
    await store.write(async (tx) => {
      for (const task of await tx.tasks.list()) await tx.tasks.delete(task.id);
    });

    expect([...numbers, (await enqueue()).fencing]).toEqual([1, 2, 3]);
    expect((await enqueue({ workload_id: 'app-2' })).fencing).toBe(1);
  });

  it('queues nothing in a transaction that fails', async () => {
    const failing = store.write(async (tx) => {
      await queue.enqueue(tx, removal);
      throw new Error('no');
    });

    await expect(failing).rejects.toThrow('no');
    expect(await store.read((tx) => tx.tasks.count())).toBe(0);
  });

  it('hands a task out in the transaction that queues it, and takes that back with it', async () => {
    const leased: string[] = [];
    queue.handOutBy(async (tx, node) => {
      for (const { id } of await claim(tx, queue, node, 1)) tx.afterCommit(() => leased.push(id));
    });
    const failing = store.write(async (tx) => {
      await queue.enqueue(tx, removal);
      throw new Error('no');
    });
    await expect(failing).rejects.toThrow('no');

    const { id } = await enqueue();

    expect(leased).toEqual([id]);
    expect((await store.read((tx) => tx.tasks.get(id)))?.state).toBe('leased');
  });

  it('wakes whoever listens once a change is on disk, until it stops listening', async () => {
    const woken: unknown[] = [];
    const [first, second] = [await enqueue(), await enqueue()];
    await claimed();
    const stop = queue.onWork((...change) => woken.push(change));

    await store.write((tx) => queue.cancel(tx, first.id));
    stop();
    await store.write((tx) => queue.cancel(tx, second.id));

    expect(woken).toEqual([['node-1', first.id]]);
  });

  it('hands out each task once, oldest first, to its own node alone (X-5)', async () => {
    const first = await enqueue();
    const second = await enqueue();
    await enqueue({ node_id: 'node-2', workload_id: 'app-2' });

    const both = await Promise.all([claimed(1), claimed(5)]);

    expect(both.map((tasks) => tasks.map(({ id }) => id))).toEqual([[first.id], [second.id]]);
    expect(await claimed()).toEqual([]);
  });

  it('ends a task once, whatever else is said about it afterwards (FAULTS 5)', async () => {
    const { id } = await enqueue();
    await claimed();

    await store.write((tx) => queue.finish(tx, { id }, resultOf(id)));
    await store.write((tx) => queue.finish(tx, { id }, { ...resultOf(id), status: 'failed' }));
    await store.write((tx) => accepted(tx, 'node-1', id));
    await store.write((tx) => queue.cancel(tx, id));
    await store.write((tx) => lapseAll(tx, 'node-1'));

    expect(await kept(id)).toMatchObject({ state: 'ended', result: { status: 'succeeded' }, cancel_requested: false });
    expect(sink.ended).toHaveLength(1);
  });

  it('ends what waited too long for its node as expired, and never hands it out', async () => {
    const { id } = await enqueue({ valid_seconds: 60 });
    const other = await enqueue({ valid_seconds: 60, workload_id: 'app-2', node_id: 'node-2' });
    await clock.advance(60_000);

    expect(await claimed()).toEqual([]);
    await store.write((tx) => queue.expire(tx));

    expect(sink.ended.map((task) => [task.id, task.result.status, task.result.failure?.code])).toEqual([
      [id, 'rejected', 'task.expired'],
      [other.id, 'rejected', 'task.expired'],
    ]);
  });

  it('hands out in order, also where the end of one whose time is over queues another', async () => {
    const order: string[] = [];
    const chained: TaskQueue = new TaskQueue(
      { ...sink, taskEnded: async (tx) => void (await chained.enqueue(tx, removal)) },
      clock,
    );
    const add = (given: Partial<NewTask<'workload.oci_remove'>>) =>
      store.write((tx) => chained.enqueue(tx, { ...removal, ...given }));
    await add({ valid_seconds: 60 });
    await clock.advance(60_000);
    const { id } = await add({});
    await clock.advance(10);
    const handOut = async (tx: Tx, node: string) => {
      const leased = await claim(tx, chained, node, 10);
      tx.afterCommit(() => order.push(...leased.map((task) => task.id)));
    };
    chained.handOutBy(handOut);

    await store.write((tx) => handOut(tx, 'node-1'));

    expect(order).toEqual([id, expect.any(String)]);
  });

  it('ends nothing because somebody sets the clock, and issues nothing that a node would call expired (FAULTS 20)', async () => {
    const { id } = await enqueue({ valid_seconds: 60 });

    clock.setWall(Date.parse('2026-11-26T12:00:00Z'));
    await store.write((tx) => queue.expire(tx));
    const [handedOut] = await claimed();
    clock.setWall(Date.parse('2026-11-24T12:00:00Z'));
    const later = await enqueue({ valid_seconds: 60 });

    expect(sink.ended).toEqual([]);
    expect(handedOut).toMatchObject({ id, not_after: '2026-11-25T12:01:00.000Z' });
    expect(later.not_after > queue.serverTime()).toBe(true);
  });

  it('leaves it to the node to judge what the node may have already', async () => {
    const { id } = await enqueue({ valid_seconds: 60 });
    await claimed();
    await store.write((tx) => lapseAll(tx, 'node-1'));
    await clock.advance(60_000);

    await store.write((tx) => queue.expire(tx));

    expect(await claimed()).toMatchObject([{ id, attempt: 2 }]);
    expect(sink.ended).toEqual([]);
  });

  it('ends everything of a node that will never come back', async () => {
    await enqueue();
    await claimed(1);
    await enqueue();
    await enqueue({ node_id: 'node-2', workload_id: 'app-2' });

    await store.write((tx) => queue.abandon(tx, 'node-1', new AgentError('node.revoked').toFailure()));

    expect(sink.ended.map(({ node_id, result }) => [node_id, result.failure?.code])).toEqual([
      ['node-1', 'node.revoked'],
      ['node-1', 'node.revoked'],
    ]);
  });
});

describe('a cancel', () => {
  it('ends a task that no node has seen at once', async () => {
    const { id } = await enqueue();

    await store.write((tx) => queue.cancel(tx, id));

    expect(sink.ended).toMatchObject([{ id, result: { status: 'cancelled', failure: { code: 'task.cancelled' } } }]);
    expect(await claimed()).toEqual([]);
  });

  it('of a task that a node may have is only asked for: the node says how it ended', async () => {
    const { id } = await enqueue();
    await claimed();

    await store.write((tx) => queue.cancel(tx, id));

    expect(await kept(id)).toMatchObject({ state: 'leased', cancel_requested: true });
    expect(sink.ended).toEqual([]);
  });
});

describe('a lease', () => {
  it('that is not answered comes again, one attempt higher, under another name', async () => {
    const { id } = await enqueue();
    const first = await pass();
    await store.write((tx) => lapse(tx, id, first.lease.id));

    const second = await pass();

    expect([first.attempt, second.attempt]).toEqual([1, 2]);
    expect(second.lease.id).not.toBe(first.lease.id);
  });

  it('that was answered does not lapse, nor does the one after it by the timer of the first', async () => {
    const { id } = await enqueue();
    const first = await pass();
    await store.write((tx) => lapse(tx, id, first.lease.id));
    const second = await pass();
    await store.write((tx) => lapse(tx, id, first.lease.id));
    expect((await kept(id)).lease).toEqual(second.lease);

    await store.write((tx) => accepted(tx, 'node-1', id));
    await store.write((tx) => lapse(tx, id, second.lease.id));

    expect(await kept(id)).toMatchObject({ state: 'accepted', lease: null });
  });

  it('is accepted by its node alone', async () => {
    const { id } = await enqueue();
    await claimed();

    expect(await store.write((tx) => accepted(tx, 'node-2', id))).toBeUndefined();
    expect((await kept(id)).state).toBe('leased');
  });

  it('that is refused for lack of room comes again; refused for good it ends', async () => {
    const { id } = await enqueue();
    const answer = ({ lease }: Awaited<ReturnType<typeof pass>>) => ({
      nodeId: 'node-1',
      taskId: id,
      leaseId: lease.id,
    });
    const full = answer(await pass());
    await store.write((tx) => refused(tx, queue, full, new AgentError('disk.full').toFailure()));
    expect((await kept(id)).state).toBe('queued');

    const untrusted = answer(await pass());
    await store.write((tx) => refused(tx, queue, full, new AgentError('task.untrusted').toFailure()));
    expect((await kept(id)).state).toBe('leased');
    await store.write((tx) => refused(tx, queue, untrusted, new AgentError('task.untrusted').toFailure()));

    expect(sink.ended).toMatchObject([{ id, result: { status: 'rejected', failure: { code: 'task.untrusted' } } }]);
  });

  it('of a node that lost its journal is given again, in order, though it was accepted (FAULTS 19)', async () => {
    const ids = [(await enqueue()).id, (await enqueue()).id];
    await claimed();
    for (const id of ids) await store.write((tx) => accepted(tx, 'node-1', id));
    const woken: string[] = [];
    queue.onWork((node) => woken.push(node));

    await store.write((tx) => handOutAgain(tx, queue, 'node-1'));

    expect((await claimed()).map(({ id }) => id)).toEqual(ids);
    expect(woken).toEqual(['node-1']);
  });
});

/** The control plane's side of a launch, killed with SIGKILL in the middle of transactions (FAULTS 34). */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { expect, it } from 'vitest';
import { openSqliteStore } from '../../src/server/db/sqlite/sqlite-store.ts';
import { TaskQueue } from '../../src/server/hub/task-queue.ts';
import { MetricsBoard } from '../../src/server/instances/metrics-board.ts';
import { reconciler } from '../../src/server/instances/reconciler.ts';
import { environmentOf } from '../../src/server/launch/environment.ts';
import { killable } from '../support/killable.ts';
import { seedLaunches } from '../support/launch-bench.ts';
import { settings } from '../support/launch-samples.ts';
import { manualClock } from '../support/manual-clock.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

/** The store itself is killed a hundred times by `server-store-kill.test.ts`. */
const kills = 25;
const folder = temporaryFolder('kills');

/** Lets a process accept `count` launches and kills it as soon as it says so, whatever it is at then. */
async function acceptAndKill(file: string, firstPort: number, count: number): Promise<string[]> {
  const host = join(import.meta.dirname, 'launch-host.ts');
  const stdio: ['ignore', 'pipe', 'inherit'] = ['ignore', 'pipe', 'inherit'];
  const child = spawn(process.execPath, [host, file, String(firstPort)], { env: killable(), stdio });
  const ended = once(child, 'exit');
  const ids: string[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    ids.push(line);
    if (ids.length === count) child.kill('SIGKILL');
  }
  expect(await ended).toEqual([null, 'SIGKILL']);
  return ids;
}

it('loses no launch, doubles none, and every one that was accepted ends', { timeout: 600_000 }, async () => {
  const file = join(folder, 'control-plane.db');
  const seeding = openSqliteStore(file);
  await seedLaunches(seeding, {
    node: { runtime_at: '2099-01-01T00:00:00.000Z' },
    allocation: { shape: { gpu_count: 0, cpu_cores: 1024, memory_gib: 65_536 } },
  });
  await seeding.close();

  const accepted: string[] = [];
  for (let round = 0; round < kills; round += 1) {
    accepted.push(...(await acceptAndKill(file, 2_000 + round * 100, 1 + (round % 3))));
  }

  const store = openSqliteStore(file);
  const environment = environmentOf(settings);
  const clock = manualClock(Date.parse('2099-01-01T00:00:00Z'));
  const sink = reconciler({ environment, clock, metrics: new MetricsBoard(), queue: () => queue });
  const queue: TaskQueue = new TaskQueue(sink, clock);
  const instances = await store.read((tx) => tx.app_instances.list());
  const tasks = await store.read((tx) => tx.tasks.list());
  const events = await store.read((tx) => tx.events.list({ after: 0, limit: 10_000 }));

  expect(new Set(accepted).size).toBe(accepted.length);
  expect(instances.map(({ id }) => id)).toEqual(expect.arrayContaining(accepted));
  expect(instances.map(({ state }) => state).filter((state) => state !== 'deploying')).toEqual([]);
  expect(tasks.map(({ instance_id }) => instance_id).sort()).toEqual(instances.map(({ id }) => id).sort());
  expect(tasks.map(({ id }) => id).sort()).toEqual(instances.map(({ current_task_id }) => current_task_id).sort());
  expect(events).toHaveLength(instances.length * 2);

  await store.write((tx) => queue.expire(tx));
  const after = await store.read((tx) => tx.app_instances.list());
  expect(after.filter(({ state, failure }) => state !== 'failed' || failure?.code !== 'task.expired')).toEqual([]);
  await store.close();
});

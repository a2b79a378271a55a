/**
 * A process that writes to the store until it is killed. Each transaction makes an instance, its task, and an event that
 * names both; a line on stdout says that one was acknowledged. It begins once it is told to by anything on stdin, so that
 * a process that has loaded its code already can wait for its turn.
 *
 *   server-store-writer.ts FILE PREFIX
 */
import { once } from 'node:events';
import { writeSync } from 'node:fs';
import { openSqliteStore } from '../../src/server/db/sqlite/sqlite-store.ts';
import { anEvent, anInstance, aTask } from '../support/store-samples.ts';

const [, , file = '', prefix = ''] = process.argv;
await once(process.stdin, 'data');
process.stdin.pause();
const store = openSqliteStore(file);

async function launch(number: number): Promise<void> {
  const id = `${prefix}-${number}`;
  await store.write(async (tx) => {
    await tx.app_instances.insert(anInstance({ id, state: 'requested' }));
    await tx.tasks.insert(aTask({ id: `task-${id}`, workload_id: id, instance_id: id }));
    const instance = await tx.app_instances.get(id);
    await tx.app_instances.put({
      ...(instance ?? anInstance({ id })),
      state: 'deploying',
      current_task_id: `task-${id}`,
    });
    await tx.events.append(
      anEvent({ type: 'apps.instance.deploying', subject: { kind: 'app_instance', id }, data: { task: `task-${id}` } }),
    );
  });
  writeSync(1, `${id}\n`);
}

// Several at once, so that commits of many and of one are both interrupted.
const lanes = Array.from({ length: 8 }, async (_, lane) => {
  for (let turn = 0; ; turn += 1) {
    await launch(turn * 8 + lane);
  }
});
await Promise.all(lanes);

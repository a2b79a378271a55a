import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { openSqliteStore } from '../../../src/server/db/sqlite/sqlite-store.ts';
import { sweep } from '../../../src/server/sweep.ts';
import { anEvent, anInstance, aTask } from '../../support/store-samples.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';

const folder = temporaryFolder('sweep');
const now = Date.parse('2026-11-25T12:00:00.000Z');
const at = (ms: number) => new Date(now + ms).toISOString();

it('forgets what nobody can ask for again, however much that is, and nothing else', async () => {
  const store = openSqliteStore(join(folder, randomUUID(), 'control-plane.db'));
  const day = 24 * 60 * 60 * 1000;
  const answer = (name: string, expires_at: string) => ({
    ...{
      id: name.padStart(43, 'a'),
      body_hash: 'h'.repeat(43),
      status: 201,
      body: {},
      sealed: null,
      created_at: at(-day),
      expires_at,
    },
  });
  await store.write(async (tx) => {
    for (let index = 0; index < 1200; index += 1) {
      await tx.idempotent_answers.insert(answer(String(index), at(-1)));
    }
    await tx.idempotent_answers.insert(answer('kept', at(1)));
    await tx.events.append(anEvent({ time: at(-91 * day), message: 'old' }));
    await tx.events.append(anEvent({ time: at(-89 * day), message: 'young' }));
  });

  await sweep(store, now);

  const left = await store.read(async (tx) => ({
    answers: (await tx.idempotent_answers.list()).map(({ id }) => id.slice(-4)),
    events: (await tx.events.list({ after: 0, limit: 10 })).map(({ message }) => message),
  }));
  await store.close();
  expect(left).toEqual({ answers: ['kept'], events: ['young'] });
});

it('forgets tasks that ended long ago, and the fencing of a workload with its last task (no earlier)', async () => {
  const store = openSqliteStore(join(folder, randomUUID(), 'control-plane.db'));
  const day = 24 * 60 * 60 * 1000;
  const ended = (id: string, instance_id: string, fencing: number, ms: number) =>
    aTask({ id, instance_id, workload_id: instance_id, fencing, state: 'ended', ended_at: at(ms) });
  await store.write(async (tx) => {
    for (const id of ['gone', 'leaving', 'runs']) {
      await tx.workload_fencing.insert({ id, fencing: 2 });
      await tx.app_instances.insert(anInstance({ id, state: id === 'runs' ? 'running' : 'decommissioned' }));
      await tx.tasks.insert(ended(`${id}-1`, id, 1, -31 * day));
    }
    await tx.tasks.insert(ended('gone-2', 'gone', 2, -30 * day - 1));
    await tx.tasks.insert(ended('leaving-2', 'leaving', 2, -29 * day));
    await tx.tasks.insert(aTask({ id: 'runs-2', instance_id: 'runs', workload_id: 'runs', fencing: 2 }));
  });

  await sweep(store, now);

  const left = await store.read(async (tx) => ({
    tasks: (await tx.tasks.list()).map(({ id }) => id),
    fencing: (await tx.workload_fencing.list()).map(({ id }) => id),
  }));
  await store.close();
  expect(left).toEqual({ tasks: ['leaving-2', 'runs-2'], fencing: ['leaving', 'runs'] });
});

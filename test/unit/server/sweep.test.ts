import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { createLog } from '../../../src/kit/log.ts';
import type { CollectionName } from '../../../src/server/db/collections.ts';
import type { JoinToken } from '../../../src/server/db/entities/node.ts';
import type { ApiToken } from '../../../src/server/db/entities/project.ts';
import type { Rollout } from '../../../src/server/db/entities/rollout.ts';
import { openSqliteStore } from '../../../src/server/db/sqlite/sqlite-store.ts';
import type { Store } from '../../../src/server/db/store.ts';
import { currentRelease } from '../../../src/server/releases/current-release.ts';
import { newRolloutNode } from '../../../src/server/releases/rollouts.ts';
import { keepSweeping, sweep } from '../../../src/server/sweep.ts';
import { until } from '../../support/hub-ground.ts';
import { manualClock } from '../../support/manual-clock.ts';
import { anAuditEntry, anEvent, anInstance, aRollout, aStoredRelease, aTask } from '../../support/store-samples.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';

const folder = temporaryFolder('sweep');
const now = Date.parse('2026-11-25T12:00:00.000Z');
const day = 24 * 60 * 60 * 1000;
const at = (ms: number) => new Date(now + ms).toISOString();

it('forgets what nobody can ask for again, however much that is, and nothing else', async () => {
  const store = openSqliteStore(join(folder, randomUUID(), 'control-plane.db'));
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

const hash = 'h'.repeat(43);

function aToken(id: string, given: Partial<ApiToken>): ApiToken {
  return {
    ...{ id, name: 'one', project_id: null, role: 'admin', secret_hash: hash, created_by: 'init' },
    ...{ created_at: at(-400 * day), expires_at: null, revoked_at: null },
    ...given,
  };
}

function aJoinToken(id: string, expires_at: string): JoinToken {
  return {
    ...{ id: id.padStart(16, '0'), secret_hash: hash, allocation_id: 'a1', task_kid: 'k1', created_by: 'init' },
    ...{ created_at: at(-400 * day), expires_at, used_at: null, node_id: null },
  };
}

it('forgets tokens a week after they stopped working, and none that works', async () => {
  const store = openSqliteStore(join(folder, randomUUID(), 'control-plane.db'));
  await store.write(async (tx) => {
    await tx.api_tokens.insert(aToken('for-ever', {}));
    await tx.api_tokens.insert(aToken('expired', { expires_at: at(-7 * day - 1) }));
    await tx.api_tokens.insert(aToken('expired-lately', { expires_at: at(-7 * day + 1) }));
    await tx.api_tokens.insert(aToken('revoked', { revoked_at: at(-7 * day - 1), expires_at: at(day) }));
    await tx.api_tokens.insert(aToken('revoked-lately', { revoked_at: at(-7 * day + 1) }));
    await tx.join_tokens.insert(aJoinToken('1', at(-7 * day - 1)));
    await tx.join_tokens.insert(aJoinToken('2', at(-7 * day + 1)));
  });

  await sweep(store, now);

  const left = await store.read(async (tx) => [...(await tx.api_tokens.list()), ...(await tx.join_tokens.list())]);
  await store.close();
  expect(left.map(({ id }) => id)).toEqual(['expired-lately', 'for-ever', 'revoked-lately', '2'.padStart(16, '0')]);
});

it('forgets who asked for what after a year, and no earlier', async () => {
  const store = openSqliteStore(join(folder, randomUUID(), 'control-plane.db'));
  await store.write(async (tx) => {
    await tx.audit_entries.insert(anAuditEntry({ id: '1', time: at(-365 * day - 1) }));
    await tx.audit_entries.insert(anAuditEntry({ id: '2', time: at(-365 * day + 1) }));
  });

  await sweep(store, now);

  const left = (await store.read((tx) => tx.audit_entries.list())).map(({ id }) => id);
  await store.close();
  expect(left).toEqual(['2']);
});

it('forgets a rollout and its nodes as long after it ended as events, but none that says what a new host begins with', async () => {
  const store = openSqliteStore(join(folder, randomUUID(), 'control-plane.db'));
  const old = at(-90 * day - 1);
  const rollout = (id: string, given: Partial<Rollout>) =>
    aRollout({ id, state: 'completed', ended_at: old, ...given });
  await store.write(async (tx) => {
    for (const [seq, version] of ['1.0.0', '1.1.0', '1.2.0'].entries()) {
      const state = version === '1.1.0' ? 'withdrawn' : 'published';
      await tx.releases.insert(aStoredRelease({ version, seq: seq + 1, state }));
    }
    await tx.rollouts.insert(rollout('r1', { version: '1.0.0' }));
    await tx.rollouts.insert(rollout('r2', { version: '1.0.0' }));
    await tx.rollouts.insert(rollout('r3', { version: '1.0.0', channel: 'other' }));
    await tx.rollouts.insert(rollout('r4', { version: '1.1.0' }));
    await tx.rollouts.insert(rollout('r5', { version: '1.2.0', state: 'cancelled' }));
    await tx.rollouts.insert(rollout('r6', { version: '1.2.0', state: 'cancelled', ended_at: at(-90 * day + 1) }));
    await tx.rollouts.insert(rollout('r7', { version: '1.2.0', state: 'paused', ended_at: null }));
    for (let index = 0; index < 1100; index += 1)
      await tx.rollout_nodes.insert(newRolloutNode('r1', `n${index}`, false, now));
    for (const id of ['r2', 'r5', 'r7']) await tx.rollout_nodes.insert(newRolloutNode(id, 'n1', true, now));
  });
  const current = () =>
    store.read(async (tx) => (await currentRelease(tx, 'stable', { now, isWhole: () => true }))?.version);
  const before = await current();

  await sweep(store, now);

  const left = await store.read(async (tx) => ({
    rollouts: (await tx.rollouts.list()).map(({ id }) => id),
    nodes: (await tx.rollout_nodes.list()).map(({ rollout_id }) => rollout_id),
  }));
  const after = await current();
  await store.close();
  expect(left).toEqual({ rollouts: ['r2', 'r3', 'r6', 'r7'], nodes: ['r2', 'r7'] });
  expect([before, after]).toEqual(['1.0.0', '1.0.0']);
});

/** A day of everything that comes by itself or by programs. */
async function live(store: Store, time: number): Promise<void> {
  const today = new Date(time).toISOString();
  const name = `${Math.round(time / day)}`;
  await store.write(async (tx) => {
    await tx.events.append(anEvent({ time: today }));
    await tx.api_tokens.insert(aToken(`t${name}`, { expires_at: today }));
    await tx.api_tokens.insert(aToken(`r${name}`, { revoked_at: today }));
    await tx.join_tokens.insert(aJoinToken(name, today));
    await tx.idempotent_answers.insert({
      ...{ id: name.padStart(43, 'a'), body_hash: hash, status: 201, body: {}, sealed: null },
      ...{ created_at: today, expires_at: new Date(time + day).toISOString() },
    });
    await tx.workload_fencing.insert({ id: name, fencing: 1 });
    await tx.app_instances.insert(anInstance({ id: name, state: 'decommissioned' }));
    const ids = { id: name, instance_id: name, workload_id: name };
    await tx.tasks.insert(aTask({ ...ids, fencing: 1, state: 'ended', ended_at: today }));
  });
}

it('keeps the store from growing, day after day', async () => {
  const store = openSqliteStore(join(folder, randomUUID(), 'control-plane.db'));
  const names: CollectionName[] = ['api_tokens', 'join_tokens', 'idempotent_answers', 'workload_fencing', 'tasks'];
  const sizes = () =>
    store.read(async (tx) => {
      const counted = await Promise.all(names.map(async (name) => [name, await tx[name].count()] as const));
      const { first, last } = await tx.events.range();
      return { ...Object.fromEntries(counted), events: last - first + 1 };
    });
  const bounds = {
    ...{ api_tokens: 16, join_tokens: 8, idempotent_answers: 2, workload_fencing: 31, tasks: 31, events: 91 },
  };

  const seen = [];
  for (let passed = 1; passed <= 200; passed += 1) {
    await live(store, now + passed * day);
    await sweep(store, now + passed * day);
    if (passed % 100 === 0) seen.push(await sizes());
  }

  await store.close();
  expect(seen).toEqual([bounds, bounds]);
});

it('goes on sweeping after it could not', async () => {
  const clock = manualClock(now);
  const stop = new AbortController();
  let sweeps = 0;
  const broken = {
    write: async () => {
      sweeps += 1;
      throw new Error('disk I/O error');
    },
  } as unknown as Store;
  const outputs = { dropOrphans: () => Promise.reject(new Error('disk I/O error')) };
  const ended = keepSweeping(
    { store: broken, files: [outputs], clock, log: createLog({ level: 'silent' }) },
    stop.signal,
  );

  await until(() => clock.waiting().length > 0);
  await clock.advance(20 * 60 * 1000);
  await until(() => sweeps === 3);

  stop.abort();
  await ended;
});

it('keeps others waiting for a few hundred at a time only, however much there is', async () => {
  const store = openSqliteStore(join(folder, randomUUID(), 'control-plane.db'));
  await store.write(async (tx) => {
    for (let index = 0; index < 1700; index += 1) await tx.events.append(anEvent({ time: at(-91 * day) }));
  });
  const forgotten: number[] = [];
  const watched: Store = Object.assign(Object.create(store), {
    write: async (work: Parameters<Store['write']>[0]) => {
      const count = async () => store.read(async (tx) => (await tx.events.list({ after: 0, limit: 5000 })).length);
      const before = await count();
      const done = await store.write(work);
      forgotten.push(before - (await count()));
      return done;
    },
  });

  await sweep(watched, now);

  await store.close();
  expect(forgotten.reduce((sum, each) => sum + each, 0)).toBe(1700);
  expect(Math.max(...forgotten)).toBeLessThanOrEqual(500);
});

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { expect, it } from 'vitest';
import { openSqliteStore } from '../../src/server/db/sqlite/sqlite-store.ts';
import type { Store } from '../../src/server/db/store.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const writer = resolve(import.meta.dirname, 'server-store-writer.ts');
const file = join(temporaryFolder('store-kill'), 'data', 'control-plane.db');
const kills = 100;

it(`loses nothing that was acknowledged and keeps nothing by halves when it is killed ${kills} times (FAULTS 34)`, async () => {
  const acknowledged: string[] = [];
  for (let round = 0; round < kills; round += 1) {
    acknowledged.push(...(await writeUntilKilled(`r${round}`, 1 + Math.floor(Math.random() * 60))));
  }

  const store = openSqliteStore(file);
  const kept = await everything(store);
  await store.close();

  expect(acknowledged.length).toBeGreaterThan(kills);
  const ids = new Set(kept.instances.map(({ id }) => id));
  expect(acknowledged.filter((id) => !ids.has(id))).toEqual([]);
  // Each instance has exactly its task and its event: what was not acknowledged is there whole or not at all.
  expect(kept.instances.filter(({ state }) => state !== 'deploying')).toEqual([]);
  expect(kept.tasks.map(({ instance_id }) => instance_id).sort()).toEqual([...ids].sort());
  expect(kept.events.map(({ subject }) => subject.id).sort()).toEqual([...ids].sort());
  expect(kept.events.map(({ seq }) => seq)).toEqual(kept.events.map((_, index) => index + 1));
}, 900_000);

/** Returns what the process acknowledged; it is killed in whatever it is doing after so many lines. */
async function writeUntilKilled(prefix: string, lines: number): Promise<string[]> {
  const child = spawn(process.execPath, [writer, file, prefix], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(child, 'exit');
  const seen: string[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    seen.push(line);
    if (seen.length === lines) {
      child.kill('SIGKILL');
    }
  }
  const [status, signal] = await ended;
  expect([status, signal]).toEqual([null, 'SIGKILL']);
  return seen;
}

async function everything(store: Store) {
  return store.read(async (tx) => ({
    instances: await tx.app_instances.list(),
    tasks: await tx.tasks.list(),
    events: await tx.events.list({ after: 0, limit: 1_000_000 }),
  }));
}

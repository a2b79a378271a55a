import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { expect, it } from 'vitest';
import { openSqliteStore } from '../../src/server/db/sqlite/sqlite-store.ts';
import type { Store } from '../../src/server/db/store.ts';
import { killable } from '../support/killable.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const writer = resolve(import.meta.dirname, 'server-store-writer.ts');
const folder = temporaryFolder('store-kill');
const file = join(folder, 'data', 'control-plane.db');
const kills = 100;
/** Processes that load their code while another one writes. */
const warm = 2;

it(`loses nothing that was acknowledged and keeps nothing by halves when it is killed ${kills} times (FAULTS 34)`, async () => {
  const acknowledged: string[] = [];
  const waiting: Writer[] = [];
  for (let round = 0; round < kills; round += 1) {
    while (waiting.length <= warm && round + waiting.length < kills) waiting.push(startWriter(round + waiting.length));
    const writer = waiting.shift();
    if (writer) acknowledged.push(...(await writeUntilKilled(writer, 1 + Math.floor(Math.random() * 20))));
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

type Writer = ChildProcessByStdio<Writable, Readable, null>;

function startWriter(round: number): Writer {
  const env = { ...killable(), NODE_COMPILE_CACHE: join(folder, 'compiled') };
  return spawn(process.execPath, [writer, file, `r${round}`], { env, stdio: ['pipe', 'pipe', 'inherit'] });
}

/** Returns what the process acknowledged; it is killed in whatever it is doing after so many lines. */
async function writeUntilKilled(child: Writer, lines: number): Promise<string[]> {
  const ended = once(child, 'exit');
  const seen: string[] = [];
  child.stdin.write('begin\n');
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

import { randomUUID } from 'node:crypto';
import { mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, it } from 'vitest';
import { openSqliteStore } from '../../../../src/server/db/sqlite/sqlite-store.ts';
import { anAllocation, aProject } from '../../../support/store-samples.ts';
import { temporaryFolder } from '../../../support/temporary-folder.ts';
import { describeStore } from './store-conformance.ts';

const folder = temporaryFolder('store');
const newFile = () => join(folder, randomUUID(), 'control-plane.db');

describeStore('SQLite', async () => openSqliteStore(newFile()));

describe('the SQLite file', () => {
  it('keeps what was written', async () => {
    const file = newFile();
    const first = openSqliteStore(file);
    await first.write((tx) => tx.projects.insert(aProject()));
    await first.close();

    const second = openSqliteStore(file);

    expect(await second.read((tx) => tx.projects.get('p1'))).toEqual(aProject());
    await second.close();
  });

  it('lies in a folder that only its user can enter', async () => {
    const file = newFile();
    const store = openSqliteStore(file);

    expect(statSync(join(file, '..')).mode & 0o777).toBe(0o700);
    await store.close();
  });

  it('is for its user alone in a folder that others may look into, with all that lies beside it', async () => {
    const open = join(folder, randomUUID());
    mkdirSync(open, { mode: 0o755 });
    const file = join(open, 'control-plane.db');
    writeFileSync(file, '', { mode: 0o644 });

    const store = openSqliteStore(file);
    await store.write((tx) => tx.projects.insert(aProject()));

    const modes = readdirSync(open).map((name) => [name, statSync(join(open, name)).mode & 0o777]);
    expect(Object.fromEntries(modes)).toMatchObject({ 'control-plane.db': 0o600, 'control-plane.db-wal': 0o600 });
    await store.close();
  });

  it('is refused if a newer version wrote it', async () => {
    const file = newFile();
    await openSqliteStore(file).close();
    const database = new DatabaseSync(file);
    database.exec('PRAGMA user_version = 99');
    database.close();

    expect(() => openSqliteStore(file)).toThrow(expect.objectContaining({ code: 'store.unusable' }));
  });

  it('is refused, and left as it is, if it is no database', () => {
    const file = join(folder, 'text.db');
    writeFileSync(file, 'this is not a database, it is text that goes on and on'.repeat(100));

    expect(() => openSqliteStore(file)).toThrow(expect.objectContaining({ code: 'store.unusable' }));
    expect(statSync(file).size).toBe(5400);
  });

  it('is asked by index, never from end to end', async () => {
    const file = newFile();
    const store = openSqliteStore(file);
    await store.write((tx) => tx.allocations.insert(anAllocation()));
    await store.close();
    const database = new DatabaseSync(file);

    const plan = database
      .prepare(
        "EXPLAIN QUERY PLAN SELECT body FROM allocations WHERE (body ->> '$.project_id') = ? AND (body ->> '$.state') IN (?, ?)",
      )
      .all('p1', 'active', 'ended');
    database.close();

    expect(JSON.stringify(plan)).toContain('USING INDEX allocations_by_project_id_and_state');
  });
});

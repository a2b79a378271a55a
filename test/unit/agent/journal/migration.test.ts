/** A journal that another version of the agent has left. */
import { existsSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { Database, openDatabase, type Schema } from '../../../../src/agent/journal/database.ts';
import { openJournal } from '../../../../src/agent/journal/open-journal.ts';
import { journalSchema } from '../../../../src/agent/journal/schema.ts';
import { temporaryFolder } from '../../../support/temporary-folder.ts';

const root = temporaryFolder('migration');
let count = 0;
const aFile = () => {
  count += 1;
  return join(root, String(count), 'agent.db');
};
const schema = (version: number): Schema => ({
  version,
  sql: Array.from({ length: version }, (_, n) => `CREATE TABLE IF NOT EXISTS t${n + 1} (a TEXT)`).join(';'),
});
const tablesOf = (database: Database) =>
  database
    .all<{ name: string }>("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
    .map(({ name }) => name);

function leave(file: string, version: number): void {
  const { database } = openDatabase(file, schema(version));
  database.run("INSERT INTO t1 (a) VALUES ('kept')");
  database.close();
}

it('of an older version is copied beside, for its owner only, and then brought up', () => {
  const file = aFile();
  leave(file, 1);

  const { database } = openDatabase(file, schema(2));

  expect(tablesOf(database)).toEqual(['t1', 't2']);
  expect(database.all('SELECT a FROM t1')).toEqual([{ a: 'kept' }]);
  database.close();
  expect(statSync(`${file}.before-2`).mode & 0o777).toBe(0o600);
  const copy = openDatabase(`${file}.before-2`, schema(1)).database;
  expect([tablesOf(copy), copy.all('SELECT a FROM t1')]).toEqual([['t1'], [{ a: 'kept' }]]);
  copy.close();
});

it('is copied once, and the copy of the version before goes', () => {
  const file = aFile();
  leave(file, 1);
  for (const version of [2, 2, 3]) openDatabase(file, schema(version)).database.close();

  expect(readdirSync(join(file, '..')).filter((name) => name.includes('before'))).toEqual(['agent.db.before-3']);
});

it('of one version later is read by the one before, which was rolled back to, and stays as it is', () => {
  const file = aFile();
  leave(file, 2);

  const older = openDatabase(file, schema(1)).database;
  older.run("INSERT INTO t1 (a) VALUES ('by the older')");
  older.close();
  const newer = openDatabase(file, schema(2)).database;

  expect(newer.all('SELECT a FROM t1')).toHaveLength(2);
  expect(tablesOf(newer)).toEqual(['t1', 't2']);
  newer.close();
  expect(existsSync(`${file}.before-2`)).toBe(false);
});

it('of a version much later is refused, and not touched', () => {
  const file = aFile();
  leave(file, 3);

  expect(() => openDatabase(file, schema(1))).toThrow(expect.objectContaining({ code: 'agent.outdated' }));

  expect(readdirSync(join(file, '..'))).toEqual(['agent.db']);
});

it('is not changed where the copy cannot be made', () => {
  const file = aFile();
  leave(file, 1);
  // A folder in the place of the copy: as good as a disk without room.
  openDatabase(`${file}.before-2/x`, schema(1)).database.close();

  expect(() => openDatabase(file, schema(2))).toThrow();
  // Half a copy would fill a disk without room for good.
  expect(existsSync(`${file}.before-2.new`)).toBe(false);
  rmSync(`${file}.before-2`, { recursive: true });

  const { database } = openDatabase(file, schema(1));
  expect(tablesOf(database)).toEqual(['t1']);
  database.close();
});

it('that was cut short in its copying is copied again', () => {
  const file = aFile();
  leave(file, 1);
  writeFileSync(`${file}.before-2.new`, 'half');

  openDatabase(file, schema(2)).database.close();

  expect(readdirSync(join(file, '..')).sort()).toEqual(['agent.db', 'agent.db.before-2']);
});

it('without a number is the first', () => {
  const stateDir = join(root, 'unnumbered');
  openJournal({ stateDir }).close();
  const database = new Database(join(stateDir, 'agent.db'), journalSchema);
  database.run('PRAGMA user_version = 0');
  database.close();

  const journal = openJournal({ stateDir });

  expect(journal.rebuilt).toBeUndefined();
  journal.close();
  expect(readdirSync(stateDir)).toContain(`agent.db.before-${journalSchema.version}`);
});

/** Looks through a store file, whether it is in use or a backup: its pages, its version, and everything that it holds. */
import { DatabaseSync } from 'node:sqlite';
import type { TSchema } from 'typebox';
import { AgentError } from '../../../contract/failures.ts';
import { judge } from '../../../contract/validate.ts';
import { collectionNames, collections } from '../collections.ts';
import { Event } from '../entities/event.ts';
import { schemaVersion } from './connection.ts';

/** What is wrong is told of so many entities. */
const mostTold = 20;

export interface Examined {
  readonly schema_version: number;
  /** How many of each. */
  readonly holds: Readonly<Record<string, number>>;
  /** Number of the last event; 0 while there is none. */
  readonly last_event: number;
  /** What is not as its schema says, the first few of it. */
  readonly misshapen: readonly string[];
}

/** `store.unusable` where it is no store, damaged, or of a newer version. Changes nothing. */
export function examine(file: string): Examined {
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(file, { readOnly: true, timeout: 5_000 });
    return look(database, file);
  } catch (error) {
    if (error instanceof AgentError) throw error;
    throw new AgentError('store.unusable', { reason: `${(error as Error).message}.`, file }, { cause: error });
  } finally {
    database?.close();
  }
}

function look(database: DatabaseSync, file: string): Examined {
  // One moment, also while somebody writes.
  database.exec('BEGIN');
  const value = (sql: string) => Object.values(database.prepare(sql).get() ?? {})[0];
  const version = Number(value('PRAGMA user_version'));
  if (version < 1 || version > schemaVersion) {
    const what = version < 1 ? 'It is no store of a control plane' : 'It was written by a newer version';
    throw new AgentError('store.unusable', { reason: `${what}: ${version}, this one knows ${schemaVersion}.`, file });
  }
  const integrity = String(value('PRAGMA integrity_check(1)'));
  if (integrity !== 'ok') throw new AgentError('store.unusable', { reason: `It is damaged: ${integrity}.`, file });
  const code = value("SELECT type || ' ' || name FROM sqlite_schema WHERE type IN ('trigger', 'view')");
  if (code !== undefined)
    throw new AgentError('store.unusable', { reason: `It has what no store has: ${code}.`, file });
  const misshapen: string[] = [];
  const tables = new Set(database.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").all().map(nameOf));
  const holds: Record<string, number> = {};
  // What this version has added is made at the next start.
  for (const name of collectionNames.filter((each) => tables.has(each))) {
    holds[name] = count(database, `SELECT id, body FROM ${name}`, collections[name].schema, name, misshapen);
  }
  holds['events'] = count(database, 'SELECT seq AS id, body FROM events', Event, 'events', misshapen);
  const last_event = Number(value('SELECT max(seq) FROM events') ?? 0);
  return { schema_version: version, holds, last_event, misshapen };
}

function nameOf(row: Record<string, unknown>): string {
  return String(row['name']);
}

function count(database: DatabaseSync, sql: string, schema: TSchema, name: string, misshapen: string[]): number {
  let rows = 0;
  for (const { id, body } of database.prepare(sql).iterate()) {
    rows += 1;
    const error = errorOf(schema, String(body), Number(id));
    if (error !== undefined && misshapen.length < mostTold) misshapen.push(`${name} ${id}: ${error}`);
  }
  return rows;
}

function errorOf(schema: TSchema, body: string, seq: number): string | undefined {
  try {
    const entity = JSON.parse(body) as object;
    const judged = judge(schema, schema === Event ? { seq, ...entity } : entity);
    return judged.ok ? undefined : judged.errors.map(({ path, message }) => `${path} ${message}`).join('; ');
  } catch (error) {
    if (error instanceof SyntaxError) return 'is no JSON';
    throw error;
  }
}

/** What the outbox holds is counted as it changes, and never by reading what waits. */
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Database, openDatabase } from '../../../../src/agent/journal/database.ts';
import { Outbox } from '../../../../src/agent/journal/outbox.ts';
import { journalSchema } from '../../../../src/agent/journal/schema.ts';
import { temporaryFolder } from '../../../support/temporary-folder.ts';
import { exitEvent, progress, topology } from './samples.ts';

const folder = temporaryFolder('outbox');
const limits = { maxRecords: 8, maxBytes: 2 ** 20, keptEvents: 10 };
const at = '2026-11-25T12:00:00.000Z';
let count = 0;
let file: string;
let database: Database;
let outbox: Outbox;

function open(): void {
  ({ database } = openDatabase(file, journalSchema));
  outbox = new Outbox(database, limits, () => undefined);
}

const counted = () => {
  const bytes = outbox.waiting(0, 1000).map(({ body }) => Buffer.byteLength(JSON.stringify(body)));
  return { records: bytes.length, bytes: bytes.reduce((sum, size) => sum + size, 0) };
};

beforeEach(() => {
  count += 1;
  file = join(folder, String(count), 'agent.db');
  open();
});
afterEach(() => database.close());

describe('the depth of the outbox', () => {
  it('is what waits, whatever was added, replaced, thinned and acknowledged', () => {
    for (let number = 0; number < 12; number += 1) {
      outbox.append('task.progress', progress(`layer ${number}`), at);
      outbox.append('topology', topology(at), at);
      expect(outbox.depth()).toEqual(counted());
    }
    expect(outbox.thinned).toBeGreaterThan(0);
    outbox.append('event', exitEvent('instance-1', 'ä'.repeat(50)), at);
    outbox.acknowledge(outbox.last() - 2);

    expect(outbox.depth()).toEqual(counted());
    expect(counted().records).toBeGreaterThan(0);
    outbox.acknowledge(outbox.last());
    expect(outbox.depth()).toEqual({ records: 0, bytes: 0 });
  });

  it('is as it was after a transaction that was rolled back', () => {
    outbox.append('event', exitEvent('instance-1'), at);
    const before = outbox.depth();

    const failing = () =>
      database.transaction(() => {
        outbox.append('event', exitEvent('instance-1'), at);
        outbox.acknowledge(1);
        throw new Error('no room');
      });

    expect(failing).toThrow('no room');
    expect(outbox.depth()).toEqual(before);
    expect(outbox.depth()).toEqual(counted());
  });

  it('is right after a restart, also on the file of a version that did not count', () => {
    outbox.append('event', exitEvent('instance-1'), at);
    outbox.append('event', exitEvent('instance-2'), at);
    database.run('DROP TRIGGER outbox_grows');
    database.run('DROP TRIGGER outbox_shrinks');
    database.run('DROP TABLE outbox_depth');
    outbox.acknowledge(1);
    database.close();

    open();
    outbox.append('event', exitEvent('instance-3'), at);
    database.close();
    open();

    expect(outbox.depth()).toEqual(counted());
    expect(outbox.depth().records).toBe(2);
  });
});

it('is appended to, and measured, without a look at all that waits', () => {
  const asked: string[] = [];
  const noting =
    <Result>(work: (sql: string, ...values: never[]) => Result) =>
    (sql: string, ...values: never[]) => {
      asked.push(sql);
      return work(sql, ...values);
    };
  const run = noting((sql, ...values) => database.run(sql, ...values));
  const get = noting((sql, ...values) => database.get(sql, ...values));
  const watched = { run, get } as unknown as Database;

  new Outbox(watched, limits, () => undefined).append('event', exitEvent('instance-1'), at);

  const plans = asked.map((sql) => {
    const values = sql.match(/\?/g)?.map(() => 0) ?? [];
    return database.all<{ detail: string }>(`EXPLAIN QUERY PLAN ${sql}`, ...values).map(({ detail }) => detail);
  });
  expect(asked.length).toBeGreaterThan(3);
  expect(plans.flat().join('\n')).not.toMatch(/SCAN outbox( |$)/m);
});

import type { Schema } from './database.ts';

/**
 * Tables of the journal. Changes are additive for one release, so that a version that was rolled back still reads what the newer
 * one wrote; each has the next number.
 *
 * 1  2026-11-26  the first with a number; a file without one has the same tables
 * 2  2026-11-26  jobs and their receipts
 * 3  2026-11-26  of a job, a row for each thing that changes by itself. Version 2, of no release, begins its jobs anew after a roll back
 */
export const journalSchema: Schema = {
  version: 3,
  sql: `
  CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

  CREATE TABLE IF NOT EXISTS tasks (
    number      INTEGER PRIMARY KEY AUTOINCREMENT,
    task_id     TEXT NOT NULL UNIQUE,
    workload_id TEXT NOT NULL,
    asks_for    TEXT NOT NULL,          -- hash of what it asks for, the same however often it is delivered
    envelope    TEXT NOT NULL,
    not_after   INTEGER NOT NULL,       -- milliseconds since 1970, by the clock of the control plane
    accepted_at TEXT NOT NULL,
    cancelled   INTEGER NOT NULL DEFAULT 0,
    result      TEXT,
    result_seq  INTEGER                 -- its record in the outbox
  );
  CREATE INDEX IF NOT EXISTS tasks_of_workload ON tasks (workload_id, number);
  CREATE INDEX IF NOT EXISTS unfinished_tasks ON tasks (number) WHERE result IS NULL;

  CREATE TABLE IF NOT EXISTS phases (
    number INTEGER NOT NULL REFERENCES tasks (number),
    phase  TEXT NOT NULL,
    at     TEXT NOT NULL
  );
  CREATE INDEX IF NOT EXISTS phases_of_task ON phases (number);

  CREATE TABLE IF NOT EXISTS fencing (
    workload_id TEXT PRIMARY KEY,
    highest     INTEGER NOT NULL,
    task_id     TEXT NOT NULL           -- the task that the number is from
  ) WITHOUT ROWID;

  CREATE TABLE IF NOT EXISTS workloads (workload_id TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;

  -- A card is with one workload at most: the key says so whatever else goes wrong.
  CREATE TABLE IF NOT EXISTS gpu_leases (
    uuid     TEXT PRIMARY KEY,
    instance TEXT NOT NULL,
    service  TEXT                       -- null for a single container
  ) WITHOUT ROWID;

  CREATE TABLE IF NOT EXISTS job_launches (
    job_id  TEXT PRIMARY KEY,
    task_id TEXT NOT NULL,
    fencing INTEGER NOT NULL,
    plan    TEXT NOT NULL
  );

  -- What has become of a job.
  CREATE TABLE IF NOT EXISTS job_parts (
    job_id TEXT NOT NULL,
    kind   TEXT NOT NULL,               -- 'fact', 'step' (without its results) or 'results'
    name   TEXT NOT NULL,               -- which fact, or which step
    body   TEXT NOT NULL,
    PRIMARY KEY (job_id, kind, name)
  );

  -- As schema 2 kept them, whole: moved into the tables above.
  CREATE TABLE IF NOT EXISTS jobs (
    job_id  TEXT PRIMARY KEY,
    task_id TEXT NOT NULL,
    fencing INTEGER NOT NULL,
    plan    TEXT NOT NULL,
    record  TEXT NOT NULL
  ) WITHOUT ROWID;
  DELETE FROM job_parts WHERE job_id IN (SELECT job_id FROM jobs);
  INSERT OR REPLACE INTO job_launches SELECT job_id, task_id, fencing, plan FROM jobs;
  INSERT INTO job_parts
    SELECT job_id, 'fact', fact.key, record -> fact.fullkey FROM jobs, json_each(record) AS fact WHERE fact.key <> 'steps';
  INSERT INTO job_parts
    SELECT job_id, 'step', step.key, json_remove(step.value, '$.results') FROM jobs, json_each(record, '$.steps') AS step;
  INSERT INTO job_parts
    SELECT job_id, 'results', step.key, step.value -> '$.results' FROM jobs, json_each(record, '$.steps') AS step;
  DELETE FROM jobs WHERE job_id IS NOT NULL;  -- of all without a condition it would write where there is none, and a disk may be full

  -- The chain of receipts: each is signed over the hash of the one before.
  CREATE TABLE IF NOT EXISTS receipts (
    number  INTEGER PRIMARY KEY,
    chain   TEXT NOT NULL,
    task_id TEXT NOT NULL UNIQUE,
    jws     TEXT NOT NULL
  );

  CREATE TABLE IF NOT EXISTS outbox (
    seq   INTEGER PRIMARY KEY AUTOINCREMENT,
    kind  TEXT NOT NULL,
    at    TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    body  TEXT NOT NULL
  );
  CREATE INDEX IF NOT EXISTS outbox_by_kind ON outbox (kind, seq, bytes);

  -- What the outbox holds: kept by the database, so that it is undone with whatever is.
  CREATE TABLE IF NOT EXISTS outbox_depth (one INTEGER PRIMARY KEY CHECK (one = 1), records INTEGER, bytes INTEGER);
  CREATE TRIGGER IF NOT EXISTS outbox_grows AFTER INSERT ON outbox BEGIN
    UPDATE outbox_depth SET records = records + 1, bytes = bytes + new.bytes;
  END;
  CREATE TRIGGER IF NOT EXISTS outbox_shrinks AFTER DELETE ON outbox BEGIN
    UPDATE outbox_depth SET records = records - 1, bytes = bytes - old.bytes;
  END;
  INSERT OR IGNORE INTO outbox_depth SELECT 1, count(*), coalesce(sum(bytes), 0) FROM outbox;

  CREATE TABLE IF NOT EXISTS events (
    number      INTEGER PRIMARY KEY AUTOINCREMENT,
    workload_id TEXT,
    at          TEXT NOT NULL,
    body        TEXT NOT NULL
  );
  CREATE INDEX IF NOT EXISTS events_of_workload ON events (workload_id, number);
`,
};

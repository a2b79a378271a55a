/**
 * Runs writes one after another and commits those that wait together at once: a sync of the disk costs more than the
 * work. Each is a savepoint of its own, so one that fails takes nothing with it; nobody hears of success before the disk.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Commit, Tx } from '../store.ts';
import type { Connection } from './connection.ts';
import { type Outcome, writeOf } from './transaction.ts';

/** Most writes of one commit: bounds how long the first of them waits for the last. */
const maxTogether = 64;

interface Job {
  readonly work: (tx: Tx) => Promise<unknown>;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
}

interface Done {
  readonly job: Job;
  readonly value: unknown;
  readonly outcome: Outcome;
}

export class Writer {
  readonly #connection: Connection;
  readonly #committed: (commit: Commit) => void;
  readonly #waiting: Job[] = [];
  #running: Promise<void> | undefined;

  constructor(connection: Connection, committed: (commit: Commit) => void) {
    this.#connection = connection;
    this.#committed = committed;
  }

  run<T>(work: (tx: Tx) => Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.#waiting.push({ work, resolve: resolve as (value: unknown) => void, reject });
      this.#running ??= this.#drain();
    });
  }

  /** Resolves when nothing waits and nothing runs. */
  async idle(): Promise<void> {
    while (this.#running) {
      await this.#running;
    }
  }

  async #drain(): Promise<void> {
    while (this.#waiting.length > 0) {
      // Whoever asks in the same turn comes along, and the rest of the process gets its turn between two commits.
      await nextTurn();
      await this.#commit(this.#waiting.splice(0, maxTogether));
    }
    this.#running = undefined;
  }

  async #commit(jobs: readonly Job[]): Promise<void> {
    const done: Done[] = [];
    try {
      this.#connection.exec('BEGIN IMMEDIATE');
      for (const job of jobs) {
        const outcome = await this.#attempt(job);
        if (outcome) {
          done.push(outcome);
        }
      }
      this.#connection.exec('COMMIT');
    } catch (error) {
      this.#undo();
      for (const job of jobs) {
        job.reject(error);
      }
      return;
    }
    this.#tell(done);
    for (const { job, value } of done) {
      job.resolve(value);
    }
  }

  /** Undefined if the work failed and was undone; throws if the whole commit is lost. */
  async #attempt(job: Job): Promise<Done | undefined> {
    this.#connection.exec('SAVEPOINT work');
    const write = writeOf(this.#connection);
    try {
      const value = await job.work(write.tx);
      write.end();
      this.#connection.exec('RELEASE work');
      return { job, value, outcome: write.outcome };
    } catch (error) {
      write.end();
      if (!this.#connection.database.isTransaction) {
        throw error;
      }
      this.#connection.exec('ROLLBACK TO work; RELEASE work');
      job.reject(error);
      return undefined;
    }
  }

  /** SQLite has undone it already where the disk is full or fails. */
  #undo(): void {
    if (this.#connection.database.isTransaction) {
      this.#connection.exec('ROLLBACK');
    }
  }

  #tell(done: readonly Done[]): void {
    const changed = new Set(done.flatMap(({ outcome }) => [...outcome.changed]));
    const about = new Set(done.flatMap(({ outcome }) => [...outcome.about]));
    const lastEvent = done.findLast(({ outcome }) => outcome.lastEvent !== undefined)?.outcome.lastEvent;
    if (changed.size > 0 || lastEvent !== undefined) {
      this.#committed({ changed, about, lastEvent });
    }
    for (const wake of done.flatMap(({ outcome }) => outcome.wakes)) {
      queueMicrotask(wake);
    }
  }
}

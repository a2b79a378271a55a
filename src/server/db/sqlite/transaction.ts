/** The transactions that work gets: one collection of each name, and an end after which nothing works any more. */
import { type CollectionName, collectionNames } from '../collections.ts';
import type { ReadTx, Tx } from '../store.ts';
import type { Connection } from './connection.ts';
import { type Changed, ReadableCollection, WritableCollection } from './sqlite-collection.ts';
import { ReadableEvents, WritableEvents } from './sqlite-events.ts';

/** Lets work use the connection until `end`. */
class Window {
  readonly #connection: Connection;
  #open = true;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** A statement outside of a transaction would be kept at once and alone. */
  connection(): Connection {
    if (!this.#open) {
      throw new Error('the transaction is over: was an await forgotten?');
    }
    if (!this.#connection.database.isTransaction) {
      throw new Error('the transaction was undone by an earlier error');
    }
    return this.#connection;
  }

  end(): void {
    this.#open = false;
  }
}

export interface OpenRead {
  readonly tx: ReadTx;
  end(): void;
}

export function readOf(connection: Connection): OpenRead {
  const window = new Window(connection);
  const scope = { connection: () => window.connection(), changed: nothing, appended: nothing };
  const tx = {
    ...Object.fromEntries(collectionNames.map((name) => [name, new ReadableCollection(name, scope)])),
    events: new ReadableEvents(scope),
  } as unknown as ReadTx;
  return { tx, end: () => window.end() };
}

/** What one write did, as far as others have to know. */
export interface Outcome {
  readonly changed: Set<CollectionName>;
  readonly about: Set<string>;
  lastEvent: number | undefined;
  readonly wakes: (() => void)[];
}

export interface OpenWrite {
  readonly tx: Tx;
  readonly outcome: Outcome;
  end(): void;
}

export function writeOf(connection: Connection): OpenWrite {
  const window = new Window(connection);
  const outcome: Outcome = { changed: new Set(), about: new Set(), lastEvent: undefined, wakes: [] };
  const scope = {
    connection: () => window.connection(),
    changed: (name: CollectionName, { id, job_id }: Changed) => {
      outcome.changed.add(name);
      outcome.about.add(id);
      if (job_id !== undefined) outcome.about.add(job_id);
    },
    appended: (seq: number) => {
      outcome.lastEvent = seq;
    },
  };
  const tx = {
    ...Object.fromEntries(collectionNames.map((name) => [name, new WritableCollection(name, scope)])),
    events: new WritableEvents(scope),
    afterCommit: (wake: () => void) => outcome.wakes.push(wake),
  } as unknown as Tx;
  return { tx, outcome, end: () => window.end() };
}

function nothing(): void {
  // Reading changes nothing.
}

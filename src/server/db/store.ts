/**
 * What the control plane keeps, behind an interface that a database server can implement as well as one file.
 *
 * - `write` is all or nothing and serial: a transaction sees everything that was committed before it, and nobody sees
 *   half of it. When the promise resolves, the change survives a power cut.
 * - `read` sees one moment. It never waits for a writer, and no writer waits for it.
 * - Events get their numbers in the order of commits: who has seen number n never finds a lower one later.
 *
 * The work of a transaction awaits nothing but its transaction: no network, no timers. Others wait for it.
 */
import type { CollectionName, EntityOf, IndexOf } from './collections.ts';
import type { Event, NewEvent } from './entities/event.ts';

/** Equal to the value, or to one of the values. Only indexed fields can be asked for. */
export type Where<N extends CollectionName> = {
  readonly [K in IndexOf<N> & keyof EntityOf<N>]?: EntityOf<N>[K] | readonly EntityOf<N>[K][];
};

export interface ListOptions<N extends CollectionName> {
  readonly where?: Where<N>;
  /** Only what is below this, in each field; for sweeping out what is old. */
  readonly below?: { readonly [K in IndexOf<N> & keyof EntityOf<N>]?: NonNullable<EntityOf<N>[K]> };
  /** Begin behind the entity with this id, in the order of the list. */
  readonly after?: string;
  readonly limit?: number;
  /** By id, and ids grow with time: `newest` begins with the youngest. Default `oldest`. */
  readonly order?: 'oldest' | 'newest';
}

export interface Readable<N extends CollectionName> {
  get(id: string): Promise<EntityOf<N> | undefined>;
  /** The oldest that matches. */
  find(where: Where<N>): Promise<EntityOf<N> | undefined>;
  list(options?: ListOptions<N>): Promise<EntityOf<N>[]>;
  count(where?: Where<N>): Promise<number>;
}

export interface Writable<N extends CollectionName> extends Readable<N> {
  /** Fails with `Duplicate` if the id or a unique value is taken; the transaction goes on if that is caught. */
  insert(entity: EntityOf<N>): Promise<void>;
  /**
   * Replaces the entity of that id; an entity that is not there is a bug. Fails with `Duplicate` like `insert`. `quietly` is for
   * what nobody decides by who listens to commits, as how far something is: it wakes nobody.
   */
  put(entity: EntityOf<N>, how?: { readonly quietly: boolean }): Promise<void>;
  /** False if there was none. */
  delete(id: string): Promise<boolean>;
}

export interface EventQuery {
  /** Only events with a higher number; 0 for all that are kept. */
  readonly after: number;
  readonly limit: number;
  /** Only what this project may see: its own, and what each may see. */
  readonly project_id?: string;
  readonly subject_id?: string;
  /** The last `limit` instead of the first; oldest first all the same. */
  readonly latest?: boolean;
}

export interface EventLog {
  /** Oldest first. */
  list(query: EventQuery): Promise<Event[]>;
  /** Lowest and highest number that is kept; both 0 while there is none. */
  range(): Promise<{ readonly first: number; readonly last: number }>;
}

export interface WritableEventLog extends EventLog {
  append(event: NewEvent): Promise<Event>;
  /** Of the oldest `limit` events, forgets those that happened before this time (RFC 3339); returns how many. */
  forgetBefore(time: string, limit: number): Promise<number>;
}

export type ReadTx = { readonly [N in CollectionName]: Readable<N> } & { readonly events: EventLog };
export type Tx = { readonly [N in CollectionName]: Writable<N> } & {
  readonly events: WritableEventLog;
  /** Runs once the change is on disk, never if it is not. For waking others; it must not throw. */
  afterCommit(wake: () => void): void;
};

export interface Commit {
  /** Collections that the commit touched, but for what was put quietly. */
  readonly changed: ReadonlySet<CollectionName>;
  /** Ids of what it touched there, and of the jobs that have it. */
  readonly about: ReadonlySet<string>;
  /** Highest event number that it added; undefined if it added none. */
  readonly lastEvent: number | undefined;
}

export interface Store {
  read<T>(work: (tx: ReadTx) => Promise<T>): Promise<T>;
  /** What `work` throws undoes all of it and is thrown here. */
  write<T>(work: (tx: Tx) => Promise<T>): Promise<T>;
  /** Calls back soon after every commit; the listener must not throw. Returns what ends that. */
  onCommit(listener: (commit: Commit) => void): () => void;
  /** Waits for what was begun. Nothing may be asked of it afterwards. */
  close(): Promise<void>;
}

/** What was to be kept is not as its schema says. Nothing of the transaction is kept. */
export class Misshapen extends Error {
  override readonly name = 'Misshapen';

  constructor(what: string, errors: readonly { readonly path: string; readonly message: string }[]) {
    super(`${what} is not as its schema says: ${errors.map(({ path, message }) => `${path} ${message}`).join('; ')}`);
  }
}

/** An id or a unique value is taken. */
export class Duplicate extends Error {
  override readonly name = 'Duplicate';
  readonly collection: CollectionName;
  /** Fields that are taken together, or `['id']`. */
  readonly fields: readonly string[];

  constructor(collection: CollectionName, fields: readonly string[]) {
    super(`${collection}: ${fields.join(', ')} taken`);
    this.collection = collection;
    this.fields = fields;
  }
}

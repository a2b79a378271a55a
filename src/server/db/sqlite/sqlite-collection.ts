/** One collection inside of one transaction. */
import type { TSchema } from 'typebox';
import { judge } from '../../../contract/validate.ts';
import { type CollectionName, collections, type EntityOf } from '../collections.ts';
import { Duplicate, type ListOptions, Misshapen, type Readable, type Where, type Writable } from '../store.ts';
import { bodyField, conditionsOf } from './conditions.ts';
import type { Connection } from './connection.ts';

/** What a transaction lets its collections do. */
export interface Scope {
  /** Throws once the transaction is over. */
  connection(): Connection;
  changed(name: CollectionName, entity: Changed): void;
}

/** `job_id`: of what belongs to a job. */
export interface Changed {
  readonly id: string;
  readonly job_id?: string;
}

/** SQLite's codes for a value that is taken: of a unique index, of a primary key. */
const taken = [2067, 1555];

export class ReadableCollection<N extends CollectionName> implements Readable<N> {
  protected readonly name: N;
  protected readonly scope: Scope;

  constructor(name: N, scope: Scope) {
    this.name = name;
    this.scope = scope;
  }

  async get(id: string): Promise<EntityOf<N> | undefined> {
    const row = this.scope.connection().get(`SELECT body FROM ${this.name} WHERE id = ?`, [id]);
    return row && entityOf(row);
  }

  async find(where: Where<N>): Promise<EntityOf<N> | undefined> {
    const [first] = await this.list({ where, limit: 1 });
    return first;
  }

  async list(options: ListOptions<N> = {}): Promise<EntityOf<N>[]> {
    const { sql, values } = conditionsOf(options);
    const order = options.order === 'newest' ? 'DESC' : 'ASC';
    return this.scope
      .connection()
      .all(`SELECT body FROM ${this.name} ${sql} ORDER BY id ${order} LIMIT ?`, [...values, options.limit ?? -1])
      .map((row) => entityOf(row));
  }

  async count(where: Where<N> = {}): Promise<number> {
    const { sql, values } = conditionsOf({ where });
    return Number(this.scope.connection().get(`SELECT count(*) AS count FROM ${this.name} ${sql}`, values)?.['count']);
  }
}

export class WritableCollection<N extends CollectionName> extends ReadableCollection<N> implements Writable<N> {
  async insert(entity: EntityOf<N>): Promise<void> {
    this.#write(entity, `INSERT INTO ${this.name} (body, id) VALUES (?, ?)`);
    this.scope.changed(this.name, entity);
  }

  async put(entity: EntityOf<N>, { quietly = false } = {}): Promise<void> {
    if (this.#write(entity, `UPDATE ${this.name} SET body = ? WHERE id = ?`) === 0) {
      throw new Error(`${this.name}: there is no ${entity.id} to replace`);
    }
    if (!quietly) this.scope.changed(this.name, entity);
  }

  async delete(id: string): Promise<boolean> {
    const row = this.scope.connection().get(`DELETE FROM ${this.name} WHERE id = ? RETURNING body`, [id]);
    this.scope.changed(this.name, row ? entityOf(row) : { id });
    return row !== undefined;
  }

  #write(entity: EntityOf<N>, sql: string): number {
    assertValid(this.name, entity);
    try {
      return this.scope.connection().run(sql, [JSON.stringify(entity), entity.id]);
    } catch (error) {
      if (taken.includes((error as { errcode?: number }).errcode ?? 0)) {
        throw new Duplicate(this.name, this.#takenFields(entity));
      }
      throw error;
    }
  }

  #takenFields(entity: EntityOf<N>): readonly string[] {
    const values = entity as Record<string, unknown>;
    const fields = collections[this.name].unique.find((set) => {
      const equal = set.map((field) => `${bodyField(field)} = ?`).join(' AND ');
      const bound = set.map((field) => values[field] as string | number);
      const sql = `SELECT 1 FROM ${this.name} WHERE ${equal} AND id <> ?`;
      return this.scope.connection().get(sql, [...bound, entity.id]) !== undefined;
    });
    return fields ?? ['id'];
  }
}

function entityOf<N extends CollectionName>(row: Record<string, unknown>): EntityOf<N> {
  return JSON.parse(String(row['body'])) as EntityOf<N>;
}

/** What does not match its schema never gets into the store: that is a bug of the writer, found where it was made. */
function assertValid(name: CollectionName, entity: { readonly id: string }): void {
  const judged = judge<TSchema>(collections[name].schema, entity);
  if (!judged.ok) {
    throw new Misshapen(`${name}: ${entity.id}`, judged.errors);
  }
}

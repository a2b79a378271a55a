/** Leases of cards in the journal. */
import type { Lease } from '../../tasks/lease-choice.ts';
import type { Database } from './database.ts';

export class LeaseTable {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  all(): Lease[] {
    return this.#database.all<Lease>('SELECT uuid, instance, service FROM gpu_leases ORDER BY uuid');
  }

  /** Must be one transaction with nothing in between. */
  replace(instance: string, leases: readonly Lease[]): void {
    this.#database.run('DELETE FROM gpu_leases WHERE instance = ?', instance);
    for (const { uuid, service } of leases) {
      this.#database.run('INSERT INTO gpu_leases (uuid, instance, service) VALUES (?, ?, ?)', uuid, instance, service);
    }
  }
}

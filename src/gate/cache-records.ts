/**
 * What the engine does not know of caches: when each was last used, how much it held then, and whether a container had it before.
 * A cache that was emptied is remembered, so that it does not begin with what the image has once more.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { writeDurable } from '../kit/durable.ts';

export interface CacheRecord {
  /** True once a container was made with it. */
  readonly had: boolean;
  /** RFC 3339: the last create or start of a container that has it. */
  readonly used_at: string;
  /** On the disk, after its last use; null while that is not known. */
  readonly bytes: number | null;
  /** On the disk, when it was last looked at in use, or before that use began; absent where it never was. */
  readonly last_bytes?: number;
  /** What its last container was allowed to leave in it; absent where it may hold whatever it likes. */
  readonly max_bytes?: number;
}

export class CacheRecords {
  readonly #file: string | undefined;
  #records: Readonly<Record<string, CacheRecord>>;

  /** Without a file they are forgotten with this process. */
  constructor(file?: string, records: Readonly<Record<string, CacheRecord>> = {}) {
    this.#file = file;
    this.#records = records;
  }

  /** With what an earlier gate left; a file that cannot be read counts as none: a cache without a record is one that was had. */
  static async open(stateDir: string): Promise<CacheRecords> {
    const file = join(stateDir, 'caches.json');
    return new CacheRecords(file, await read(file));
  }

  of(volume: string): CacheRecord | undefined {
    return Object.hasOwn(this.#records, volume) ? this.#records[volume] : undefined;
  }

  all(): Readonly<Record<string, CacheRecord>> {
    return this.#records;
  }

  put(changes: Readonly<Record<string, CacheRecord>>): void {
    this.#keep({ ...this.#records, ...changes });
  }

  drop(volume: string): void {
    const { [volume]: _gone, ...rest } = this.#records;
    this.#keep(rest);
  }

  clear(): void {
    this.#keep({});
  }

  #keep(records: Readonly<Record<string, CacheRecord>>): void {
    if (this.#file !== undefined) writeDurable(this.#file, JSON.stringify(records), 0o600);
    this.#records = records;
  }
}

async function read(file: string): Promise<Record<string, CacheRecord>> {
  try {
    const found: unknown = JSON.parse(await readFile(file, 'utf8'));
    return typeof found === 'object' && found !== null ? (found as Record<string, CacheRecord>) : {};
  } catch (error) {
    if (error instanceof SyntaxError || (error as NodeJS.ErrnoException).code === 'ENOENT') return {};
    throw error;
  }
}

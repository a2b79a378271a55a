/**
 * Files that were fetched, kept for who may fetch the same. A job gets hard links of them, so what is taken out of the cache is not
 * taken from a job.
 *
 *   objects/<key>        what was fetched, read-only
 *   about/<key>          what it is, as JSON; its time of change is that of the last use
 *   partial/<key>        what is being fetched
 */

import { chmod, mkdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readBootId } from '../../host/boot-id.ts';
import type { Clock } from '../../kit/clock.ts';
import { mapAtMost } from '../../kit/map-at-most.ts';
import { measureFile } from '../../kit/measure-file.ts';
import { namesIn } from '../../kit/names-in.ts';
import { countsOf } from './part-file.ts';

export interface CacheOptions {
  readonly folder: string;
  readonly maxBytes: number;
  /** Since the last use. */
  readonly maxAgeMs: number;
  readonly clock: Clock;
}

export interface About {
  readonly bytes: number;
  readonly sha256: string;
  /** RFC 3339. */
  readonly keep_until: string;
  /** In which boot of the host it was seen whole last: after a crash the disk may hold less than it said. */
  readonly boot: string;
}

interface Entry extends About {
  readonly key: string;
  readonly usedMs: number;
  /** True while a job has it. */
  readonly isInUse: boolean;
}

const readOnly = 0o444;
const filesAtOnce = 8;
const partialMs = 24 * 3600 * 1000;

export class FileCache {
  readonly #options: CacheOptions;
  readonly #boot = readBootId();
  readonly #pins = new Map<string, number>();

  constructor(options: CacheOptions) {
    this.#options = options;
  }

  /** The folders of it. */
  async open(): Promise<void> {
    for (const name of ['objects', 'about', 'partial']) {
      await mkdir(join(this.#options.folder, name), { recursive: true, mode: 0o700 });
    }
  }

  object(key: string): string {
    return join(this.#options.folder, 'objects', key);
  }

  partial(key: string): string {
    return join(this.#options.folder, 'partial', key);
  }

  /** While something is done with it, it is not taken out. */
  async pinned<T>(keys: readonly string[], work: () => Promise<T>): Promise<T> {
    for (const key of keys) this.#pins.set(key, (this.#pins.get(key) ?? 0) + 1);
    try {
      return await work();
    } finally {
      for (const key of keys) {
        const left = (this.#pins.get(key) ?? 1) - 1;
        if (left > 0) this.#pins.set(key, left);
        else this.#pins.delete(key);
      }
    }
  }

  /** What there is under that key and may still be given, which counts as its use. */
  async find(key: string): Promise<About | undefined> {
    const entry = await this.#entry(key);
    if (entry === undefined || this.#isOver(entry) || !(await this.#isWhole(entry))) return;
    // Cut between the two, it has its name and not its mode.
    await chmod(this.object(key), readOnly);
    await this.#use(key);
    return entry;
  }

  /** Takes over what was fetched at `partial(key)`, or at that of another name. */
  async keep(key: string, about: Omit<About, 'boot'>, name = key): Promise<About> {
    const whole = { ...about, boot: this.#boot };
    await this.#write(key, whole);
    await this.#use(key);
    await rename(this.partial(name), this.object(key));
    await chmod(this.object(key), readOnly);
    await rm(countsOf(this.partial(name)), { force: true });
    return whole;
  }

  /** Takes out what has turned out to be something else. */
  async drop(key: string): Promise<void> {
    await rm(this.object(key), { force: true });
    await rm(this.#about(key), { force: true });
  }

  /** Forgets what was begun to be fetched. */
  async dropPartial(name: string): Promise<void> {
    await rm(this.partial(name), { force: true });
    await rm(countsOf(this.partial(name)), { force: true });
  }

  /** What is over goes, then what was used least recently, until the limit holds and `room` more bytes are free. */
  async prune(room = 0): Promise<void> {
    const { folder, maxBytes, clock } = this.#options;
    const entries = await this.#entries();
    const over = entries.filter((entry) => this.#isOver(entry));
    let bytes = entries.reduce((sum, entry) => sum + entry.bytes, 0);
    let freed = 0;
    const remove = async (entry: Entry) => {
      if (this.#pins.has(entry.key)) return;
      await rm(this.object(entry.key), { force: true });
      await rm(this.#about(entry.key), { force: true });
      bytes -= entry.bytes;
      if (!entry.isInUse) freed += entry.bytes;
    };
    for (const entry of over) await remove(entry);
    const rest = entries.filter((entry) => !over.includes(entry) && !entry.isInUse);
    for (const entry of rest.sort((a, b) => a.usedMs - b.usedMs)) {
      if (bytes <= maxBytes && freed >= room) break;
      await remove(entry);
    }
    for (const name of await namesIn(join(folder, 'partial'))) {
      const path = this.partial(name);
      const { mtimeMs } = await stat(path).catch(() => ({ mtimeMs: Number.POSITIVE_INFINITY }));
      const isBegun = this.#pins.has(name.replace(/\.(counts|about)$/, ''));
      if (!isBegun && mtimeMs + partialMs < clock.wallMs()) await rm(path, { force: true });
    }
  }

  async #isWhole({ key, usedMs: _used, isInUse: _inUse, ...about }: Entry): Promise<boolean> {
    if (about.boot === this.#boot) return true;
    const { sha256 } = await measureFile(this.object(key));
    if (sha256 !== about.sha256) return false;
    await this.#write(key, { ...about, boot: this.#boot });
    return true;
  }

  /** What it was may be seen until what it is has its place. */
  async #write(key: string, about: About): Promise<void> {
    await writeFile(`${this.partial(key)}.about`, JSON.stringify(about));
    await rename(`${this.partial(key)}.about`, this.#about(key));
  }

  async #use(key: string): Promise<void> {
    const now = new Date(this.#options.clock.wallMs());
    await utimes(this.#about(key), now, now);
  }

  async #entries(): Promise<Entry[]> {
    const keys = await namesIn(join(this.#options.folder, 'about'));
    const found = await mapAtMost(filesAtOnce, keys, async (key) => {
      const entry = await this.#entry(key);
      if (!entry && !this.#pins.has(key)) await rm(this.#about(key), { force: true });
      return entry;
    });
    return found.filter((entry) => entry !== undefined);
  }

  async #entry(key: string): Promise<Entry | undefined> {
    try {
      const about = JSON.parse(await readFile(this.#about(key), 'utf8')) as About;
      const [{ mtimeMs }, { size, nlink }] = await Promise.all([stat(this.#about(key)), stat(this.object(key))]);
      return size === about.bytes ? { ...about, key, usedMs: mtimeMs, isInUse: nlink > 1 } : undefined;
    } catch (error) {
      // Not there, or cut by a crash of the host.
      if (error instanceof SyntaxError || (error as NodeJS.ErrnoException).code === 'ENOENT') return;
      throw error;
    }
  }

  #isOver({ keep_until, usedMs }: Entry): boolean {
    const now = this.#options.clock.wallMs();
    return now >= Date.parse(keep_until) || now >= usedMs + this.#options.maxAgeMs;
  }

  #about(key: string): string {
    return join(this.#options.folder, 'about', key);
  }
}

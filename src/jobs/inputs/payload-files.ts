/**
 * Images that are downloaded, each by the hash of it.
 *
 *   in the cache? ─▶ yes: hashed again, as a file that was changed since is another one
 *        └─ no ─▶ address after address, until one gives what the hash promises
 *
 * An address that stops is left for the next, which goes on where it was; what turned out to be something else is begun anew.
 * Kept for all projects of the host: who knows the hash of it could have downloaded it. What is under way is shared by those alone who
 * name the same addresses.
 */
import { createHash } from 'node:crypto';
import { AgentError } from '../../contract/failures.ts';
import type { Clock } from '../../kit/clock.ts';
import type { KeyedMutex } from '../../kit/mutex.ts';
import { SharedWork } from '../../kit/shared-work.ts';
import type { Slots } from '../../kit/slots.ts';
import { payloadKey } from '../../policy/choose-payload.ts';
import type { About, FileCache } from './cache.ts';
import { anonymous, type SourceClient } from './client.ts';
import { fetchFile, hashOf } from './fetch-file.ts';
import type { PayloadOptions, WantedPayload } from './job-inputs.ts';
import type { Checksum, Sha3 } from './remote-file.ts';
import type { Room } from './room.ts';
import { readUrl } from './sources/http.ts';
import { probe } from './sources/probe.ts';
import { patiently, plainUrl, refused } from './trouble.ts';

export interface PayloadMeans {
  readonly client: SourceClient;
  readonly cache: FileCache;
  readonly room: Room;
  readonly clock: Clock;
  /** Of connections. */
  readonly slots: Slots;
  /** Of open files. */
  readonly open: Slots;
  readonly turns: KeyedMutex;
  readonly keepSeconds: number;
  /** How long an address may send next to nothing, where there is another one. */
  readonly slowMs?: number;
}

/** What has come of all, undefined while nobody knows of how much, and from where. */
type Tell = PayloadOptions['onProgress'];

/** By the number of hex digits. */
const algorithms: Readonly<Record<number, Sha3>> = { 56: 'sha3-224', 64: 'sha3-256', 96: 'sha3-384', 128: 'sha3-512' };
/** Attempts in a row that bring nothing, where there is another address. */
const mostIdle = 1;
const everyMs = 500;
const usualSlowMs = 60_000;
/** Fewer in that time are next to nothing. */
const leastBytes = 256 * 1024;

interface Trouble {
  /** As it is written in the plan. */
  readonly address: string;
  readonly told: { readonly url: string; readonly code: string; readonly reason: string };
  readonly isOther: boolean;
}

export class PayloadFiles {
  readonly #means: PayloadMeans;
  readonly #fetches = new SharedWork<Tell, About>();

  constructor(means: PayloadMeans) {
    this.#means = means;
  }

  async with<T>(
    wanted: WantedPayload,
    options: PayloadOptions,
    use: (file: string) => Promise<T>,
  ): Promise<{ readonly fetched: boolean; readonly result: T }> {
    const { cache } = this.#means;
    const key = payloadKey(wanted.hash);
    await cache.open();
    return await cache.pinned([key], async () => {
      const isThere = await this.#isThere(key, checksumOf(wanted), options.signal);
      if (!isThere) await this.#fetch(key, wanted, options);
      return { fetched: !isThere, result: await use(cache.object(key)) };
    });
  }

  async #isThere(key: string, checksum: Checksum, signal: AbortSignal): Promise<boolean> {
    const { cache } = this.#means;
    const about = await cache.find(key);
    if (!about) return false;
    const actual = await hashOf(cache.object(key), checksum, about.bytes);
    signal.throwIfAborted();
    if (actual === checksum.hex) return true;
    await cache.drop(key);
    return false;
  }

  /** Shared with whoever names the same addresses: nobody waits for those of others. */
  async #fetch(key: string, wanted: WantedPayload, { signal, onProgress }: PayloadOptions): Promise<void> {
    await this.#fetches.run(JSON.stringify([key, wanted.urls]), onProgress, signal, (members, shared) =>
      this.#tryAll(key, wanted, (...of) => members.forEach((tell) => void tell(...of)), shared),
    );
  }

  async #tryAll(key: string, wanted: WantedPayload, tell: Tell, signal: AbortSignal): Promise<About> {
    const troubles: Trouble[] = [];
    for (const [index, address] of wanted.urls.entries()) {
      // Whoever comes last is waited for, however long that takes: the job has a deadline.
      const slowMs = index < wanted.urls.length - 1 ? (this.#means.slowMs ?? usualSlowMs) : undefined;
      try {
        using pace = paceOf(slowMs, signal);
        return await this.#fetchFrom(address, key, wanted, tell, pace);
      } catch (error) {
        signal.throwIfAborted();
        if (!(error instanceof AgentError) || error.code === 'disk.full') throw error;
        troubles.push(troubleOf(address, error));
      }
    }
    throw failureOf(wanted, troubles);
  }

  async #fetchFrom(address: string, key: string, wanted: WantedPayload, tell: Tell, pace: Pace): Promise<About> {
    const { signal } = pace;
    const { client, cache, clock, open, slots, turns, keepSeconds } = this.#means;
    const url = readUrl(address);
    const idle = wanted.urls.length > 1 ? mostIdle : undefined;
    const { size, etag } = await patiently({ clock, signal, mostIdle: idle }, () => probe(url, { client, signal }));
    assertSize(size ?? 0, wanted);
    // One of another size is put together apart: pieces of the two have other places.
    const name = createHash('sha256')
      .update(JSON.stringify([key, size, wanted.urls]))
      .digest('hex');
    return await cache.pinned([name], () =>
      // Whoever gave it up a moment ago may still have it open.
      turns.run(cache.partial(name), async () => {
        signal.throwIfAborted();
        // Where nobody says how long it is, nobody can say whether it is whole.
        if (size === undefined) await cache.dropPartial(name);
        const room = await this.#means.room.take(size ?? 0);
        const count = counter(clock, (bytes) => tell({ bytes, bytes_total: size, url: plainUrl(url) }));
        try {
          const file = { path: key, url, version: key, size, etag, checksum: checksumOf(wanted) };
          const fetched = await open.run(signal, () =>
            fetchFile(file, {
              ...{ client, authorize: anonymous, clock, signal, slots, mostIdle: idle, part: cache.partial(name) },
              onBytes: (bytes, wereThere) => {
                count.add(bytes);
                pace.took(wereThere ? 0 : bytes, count.bytes() === size);
                if (!wereThere) room.took(bytes);
              },
              room: async (bytes) => {
                assertSize(count.bytes() + bytes, wanted);
                (await this.#means.room.take(bytes)).giveBack();
              },
            }),
          );
          const keepUntil = new Date(clock.wallMs() + keepSeconds * 1000).toISOString();
          return await cache.keep(key, { ...fetched, keep_until: keepUntil }, name);
        } catch (error) {
          if (isOther(error)) await cache.dropPartial(name);
          throw error;
        } finally {
          room.giveBack();
        }
      }),
    );
  }
}

function checksumOf({ hash }: Pick<WantedPayload, 'hash'>): Checksum {
  const hex = hash.slice(hash.indexOf(':') + 1).toLowerCase();
  const algorithm = algorithms[hex.length];
  if (algorithm === undefined) throw new AgentError('payload.unavailable', { reason: 'Nobody knows that hash.', hash });
  return { algorithm, hex };
}

function assertSize(bytes: number, { maxBytes }: WantedPayload): void {
  if (bytes <= maxBytes) return;
  throw refused(`It is larger than the ${maxBytes} bytes that this host downloads of an image.`);
}

interface Pace extends Disposable {
  /** Aborted where too little comes. */
  readonly signal: AbortSignal;
  /** `isWhole`: nothing more is waited for. */
  took(bytes: number, isWhole: boolean): void;
}

/** Once anything was taken, so much has to come in that time until all is there; whatever, if it is undefined. */
function paceOf(slowMs: number | undefined, given: AbortSignal): Pace {
  const stop = new AbortController();
  let [timer, recent]: [NodeJS.Timeout | undefined, number] = [undefined, 0];
  const look = () => {
    if (recent < leastBytes) stop.abort(new AgentError('input.failed', { reason: 'It sends next to nothing.' }));
    recent = 0;
  };
  return {
    signal: AbortSignal.any([given, stop.signal]),
    took: (bytes, isWhole) => {
      recent += Math.max(0, bytes);
      if (isWhole) {
        clearInterval(timer);
        timer = undefined;
      } else if (slowMs !== undefined) {
        timer ??= setInterval(look, slowMs);
      }
    },
    [Symbol.dispose]: () => clearInterval(timer),
  };
}

/** Told at most a few times a second. */
function counter(clock: Clock, tell: (bytes: number) => void) {
  let [bytes, toldMs] = [0, Number.NEGATIVE_INFINITY];
  return {
    bytes: () => bytes,
    add: (more: number) => {
      bytes += more;
      if (clock.monotonicMs() - toldMs < everyMs) return;
      toldMs = clock.monotonicMs();
      tell(bytes);
    },
  };
}

/** True where what came was whole, and something else. */
function isOther(error: unknown): boolean {
  return error instanceof AgentError && error.detail['expected'] !== undefined;
}

function troubleOf(address: string, error: AgentError): Trouble {
  const { url, reason = error.message, actual } = error.detail;
  const other = isOther(error);
  const why = other ? `Its hash is ${String(actual)}.` : String(reason);
  const told = { url: String(url ?? shown(address)), code: other ? 'hash_mismatch' : error.code, reason: why };
  return { address, told: { ...told, reason: why.slice(0, 500) }, isOther: other };
}

function shown(address: string): string {
  return URL.canParse(address) ? plainUrl(new URL(address)) : (address.split('?', 1)[0]?.slice(0, 1024) ?? '');
}

function failureOf({ hash }: WantedPayload, troubles: readonly Trouble[]): AgentError {
  const tried = troubles.map(({ told }) => told);
  const reason = tried.map(({ url, reason: why }) => `${url}: ${why}`).join(' ');
  const code = troubles.every(({ isOther: other }) => other) ? 'payload.hash_mismatch' : 'payload.unavailable';
  return new AgentError(code, { reason: reason.slice(0, 2000), hash, tried });
}

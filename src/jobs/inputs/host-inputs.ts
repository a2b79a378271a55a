/**
 * Inputs of the jobs of this host.
 *
 *   <dir>/cache/…                        what was fetched (see `cache.ts`)
 *   <dir>/cache/provided/<job>/<input>   what a job was provided with, as JSON: it is not asked for again while the job lives
 *   <dir>/cache/objects/<key>            as well: the tar of a revision that jobs are built from, or of a folder that was kept of one
 *   <dir>/cache/objects/<key>            and images that were downloaded, by their hash alone (see `payload-files.ts`)
 *   <dir>/cache/unpacked/<job>/<input>   what is in such a tar of a folder, until it is laid
 *   <dir>/jobs/<job>/<volume>/<path>     hard links of what was fetched, which a job gets to see read-only
 *
 * The gate makes the folders, down to that of the volume; what is in them is ours.
 */

import { createHash } from 'node:crypto';
import type { lookup } from 'node:dns';
import { mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { AgentError } from '../../contract/failures.ts';
import type { JobEgress } from '../../contract/job-egress.ts';
import { readBootId } from '../../host/boot-id.ts';
import { type Clock, systemClock } from '../../kit/clock.ts';
import type { Log } from '../../kit/log.ts';
import { mapAtMost } from '../../kit/map-at-most.ts';
import { KeyedMutex } from '../../kit/mutex.ts';
import { namesIn } from '../../kit/names-in.ts';
import { SharedWork } from '../../kit/shared-work.ts';
import { Slots } from '../../kit/slots.ts';
import { type HostPolicy, jobInputsRoot } from '../../policy/host-policy.ts';
import { mayReachUrl } from '../../policy/may-reach.ts';
import { addressOfHost } from '../../policy/public-address.ts';
import { AllowedPlaces, type PlacesOptions } from './allowed-places.ts';
import { type About, FileCache } from './cache.ts';
import { anonymous, type Delivery, SourceClient } from './client.ts';
import { fetchFile, type OnBytes } from './fetch-file.ts';
import { findSource } from './find-source.ts';
import { InputMeter } from './input-meter.ts';
import type {
  BroughtFile,
  FileOptions,
  JobInputs,
  PayloadOptions,
  ProvidedInput,
  ProvideOptions,
  ResolvedInput,
  RevisionSource,
  WantedFile,
  WantedPayload,
  WantedRevision,
} from './job-inputs.ts';
import { layFiles, type ObtainedFile } from './lay-files.ts';
import { countsOf } from './part-file.ts';
import { PayloadFiles } from './payload-files.ts';
import { judgePaths, type RemoteFile, type RemoteSource } from './remote-file.ts';
import { Room } from './room.ts';
import { probe } from './sources/probe.ts';
import { patiently } from './trouble.ts';
import { type Unpacked, unpackFolder } from './unpack-folder.ts';

export interface HostInputsOptions {
  readonly policy: Pick<HostPolicy, 'inputs' | 'reserves' | 'egress' | 'network_pool'>;
  readonly log: Log;
  readonly clock?: Clock;
  /** How long no byte may come. */
  readonly idleMs?: number | undefined;
  /** How long an address of an image may send next to nothing, where there is another one. */
  readonly slowMs?: number | undefined;
  readonly lookup?: typeof lookup | undefined;
  /** Addresses of the host at that moment. */
  readonly own?: (() => readonly string[]) | undefined;
  readonly readFree?: ((folder: string) => Promise<number>) | undefined;
  /** Undefined where there is no control plane to fetch revisions and outputs of jobs from. */
  readonly revisions?: RevisionSource | undefined;
}

/** Connections at once, and files that are open for them, over all jobs. */
const most = { connections: 8, files: 8 } as const;
const gib = 1024 ** 3;

interface Wanted {
  readonly file: RemoteFile;
  readonly key: string;
  /** What the cache has of it; undefined where it has to be fetched. */
  readonly about: About | undefined;
}

interface InputRecord {
  readonly provided: ProvidedInput;
  /** After a crash of the host the disk may hold less than it said. */
  readonly boot: string;
}

export class HostInputs implements JobInputs {
  readonly #options: HostInputsOptions;
  readonly #clock: Clock;
  readonly #client: SourceClient;
  readonly #cache: FileCache;
  readonly #room: Room;
  readonly #boot = readBootId();
  readonly #slots = new Slots(most.connections);
  readonly #open = new Slots(most.files);
  readonly #turns = new KeyedMutex();
  readonly #fetches = new SharedWork<OnBytes, About>();
  readonly #mirrors: SourceClient;
  readonly #payloads: PayloadFiles;

  constructor(options: HostInputsOptions) {
    const { policy, clock = systemClock, idleMs, slowMs, lookup, readFree } = options;
    const { dir, allow, max_gib: maxGib, max_age_hours: maxAgeHours } = policy.inputs;
    this.#options = options;
    this.#clock = clock;
    this.#client = new SourceClient({ places: this.#placesOf(allow), idleMs, lookup });
    this.#cache = new FileCache({
      ...{ folder: join(dir, 'cache'), clock },
      ...{ maxBytes: maxGib * gib, maxAgeMs: maxAgeHours * 3_600_000 },
    });
    const makeRoom = (bytes: number) => this.#cache.prune(bytes);
    this.#room = new Room({ folder: dir, reserveBytes: policy.reserves.disk_gib * gib, makeRoom, readFree });
    // The hash of an image proves it, whoever has had it in hand.
    this.#mirrors = new SourceClient({ places: this.#placesOf(allow, { isPlainFine: true }), idleMs, lookup });
    this.#payloads = new PayloadFiles({
      ...{ client: this.#mirrors, cache: this.#cache, room: this.#room, clock },
      ...{ slots: this.#slots, open: this.#open, turns: this.#turns, keepSeconds: maxAgeHours * 3600 },
      ...(slowMs !== undefined && { slowMs }),
    });
  }

  folderOf(job: string, volume: string): string {
    return join(jobInputsRoot(this.#options.policy, job), volume);
  }

  async provide(job: string, input: ResolvedInput, options: ProvideOptions): Promise<ProvidedInput> {
    const turn = Promise.withResolvers<void>();
    const done = Promise.withResolvers<void>();
    // Asked for now: where two inputs of a volume have a file of one path, the one that was asked for later has it.
    void this.#turns.run(this.folderOf(job, input.volume), async () => {
      turn.resolve();
      await done.promise;
    });
    try {
      return (await this.#provided(job, input)) ?? (await this.#fetch(job, input, options, turn.promise));
    } catch (error) {
      if (!(error instanceof AgentError)) throw error;
      throw new AgentError(error.code, { input: input.id, ...error.detail }, { cause: error.cause ?? error });
    } finally {
      done.resolve();
    }
  }

  async withRevision<T>(
    { project_id, sha256, bytes }: WantedRevision,
    { signal, onProgress }: Pick<ProvideOptions, 'signal' | 'onProgress'>,
    use: (file: string) => Promise<T>,
  ): Promise<T> {
    const { revisions, policy } = this.#options;
    if (!revisions) throw new AgentError('task.unsupported', { reason: 'This process fetches no revisions.' });
    const key = sha256Of(JSON.stringify(['revision', project_id, sha256]));
    const file: RemoteFile = {
      ...{ path: sha256, url: revisions.urlOf(sha256), version: sha256, size: bytes },
      checksum: { algorithm: 'sha256', hex: sha256 },
    };
    await this.#cache.open();
    return await this.#cache.pinned([key], async () => {
      const about = await this.#cache.find(key);
      if (!about) {
        const meter = new InputMeter([file], this.#clock, onProgress);
        const source = { files: [file], authorize: anonymous, client: revisions };
        const cacheSeconds = policy.inputs.max_age_hours * 3600;
        await this.#obtain([{ file, key, about }], source, { signal, meter, cacheSeconds }).catch((error: unknown) => {
          signal.throwIfAborted();
          throw revisionFailure(sha256, error);
        });
        meter.end();
        await this.#tidy();
      }
      return await use(this.#cache.object(key));
    });
  }

  async withPayload<T>(payload: WantedPayload, options: PayloadOptions, use: (file: string) => Promise<T>): Promise<T> {
    const { fetched, result } = await this.#payloads.with(payload, options, use);
    if (fetched) await this.#tidy();
    return result;
  }

  async bring<T>(
    { url, key: name }: WantedFile,
    { egress, signal, onBytes }: FileOptions,
    use: (file: BroughtFile) => Promise<T>,
  ): Promise<T> {
    await this.#cache.open();
    const key = sha256Of(JSON.stringify(['transfer', name]));
    const part = this.#cache.partial(key);
    const client = this.#clientFor(egress);
    const means = { client, authorize: anonymous, clock: this.#clock, signal };
    try {
      return await this.#cache.pinned([key], async () => {
        const facts = await patiently(means, () => probe(url, { client, signal }));
        const { size } = facts;
        const { took, giveBack } = await this.#room.take(size ?? 0);
        const room = async (bytes: number) => (await this.#room.take(bytes)).giveBack();
        let have = 0;
        const tell: OnBytes = (bytes, wereThere) => {
          have += bytes;
          if (!wereThere) took(bytes);
          onBytes(have, size);
        };
        const fetched = await this.#open
          .run(signal, () =>
            fetchFile({ path: 'file', url, ...facts }, { ...means, slots: this.#slots, part, onBytes: tell, room }),
          )
          .finally(giveBack);
        return await use({ path: part, ...fetched });
      });
    } finally {
      client.close();
      // What is not there at its end is begun anew, but for a process that was killed.
      for (const path of [part, countsOf(part)]) await rm(path, { force: true });
    }
  }

  async deliver(
    { url, size, fill }: Pick<Delivery, 'url' | 'size' | 'fill'>,
    { egress, signal, onBytes }: FileOptions,
  ): Promise<void> {
    const client = this.#clientFor(egress);
    try {
      await patiently({ clock: this.#clock, signal }, async () => {
        let sent = 0;
        await client.put({
          ...{ url, size, signal },
          fill: (write) =>
            fill(async (chunk) => {
              await write(chunk);
              sent += chunk.length;
              onBytes(sent, size);
            }),
        });
      });
    } finally {
      client.close();
    }
  }

  /** As the proxy of the job: never a place that is private and that the operator does not list for that, and none that its list does not have, also over redirects. */
  #clientFor(egress: JobEgress | undefined): SourceClient {
    const { policy, idleMs, lookup } = this.#options;
    const places = this.#placesOf(policy.egress?.allow ?? [], { isPlainFine: true });
    const judge = (url: URL, address: string) =>
      mayReachUrl(egress, url)
        ? places.judge(url, address)
        : `${url.origin} is none of the addresses that the job may reach.`;
    return new SourceClient({ places: { judge }, idleMs, lookup });
  }

  #placesOf(allow: readonly string[], options: Pick<PlacesOptions, 'isPlainFine'> = {}): AllowedPlaces {
    const { policy, own = ownAddresses } = this.#options;
    return new AllowedPlaces(allow, { ...options, never: [policy.network_pool], own });
  }

  async release(job: string): Promise<void> {
    await rm(this.#records(job), { recursive: true, force: true });
    await rm(this.#unpackedOf(job), { recursive: true, force: true });
    const folder = jobInputsRoot(this.#options.policy, job);
    for (const name of await namesIn(folder)) {
      for (const inner of await namesIn(join(folder, name))) {
        await rm(join(folder, name, inner), { recursive: true, force: true });
      }
    }
    // Folders that are the gate's it takes away itself, with the data of the job.
    await rm(folder, { recursive: true, force: true }).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EACCES' && error.code !== 'EPERM') throw error;
    });
    await this.#tidy();
  }

  async prune(): Promise<void> {
    await this.#cache.prune();
  }

  /** Ends the connections that are kept open. */
  close(): void {
    this.#client.close();
    this.#mirrors.close();
  }

  async #fetch(
    job: string,
    input: ResolvedInput,
    options: ProvideOptions,
    turn: Promise<void>,
  ): Promise<ProvidedInput> {
    const { signal, credential, onProgress } = options;
    const { endpoints } = this.#options.policy.inputs;
    await this.#cache.open();
    const source = await patiently({ clock: this.#clock, signal }, () =>
      findSource(input.source, {
        ...{ client: this.#client, controlPlane: this.#options.revisions, signal, credential, endpoints },
      }),
    );
    judgePaths(source.files.map(({ path, unpackTo = '.' }) => (unpackTo === '.' ? path : unpackTo)));
    const keys = source.files.map((file) => this.#keyOf(file, job, input, credential));
    const provided = await this.#cache.pinned(keys, async () => {
      const wanted = await mapAtMost(most.files, source.files, async (file, index): Promise<Wanted> => {
        const key = keys[index] ?? '';
        return { file, key, about: await this.#cache.find(key) };
      });
      const meter = new InputMeter(source.files, this.#clock, onProgress);
      const obtained = await this.#obtain(wanted, source, { signal, meter, cacheSeconds: input.cache_seconds });
      const unpacked = this.#unpacked(job, input);
      try {
        const { files, ...beside } = await this.#unpack(source, obtained, unpacked, signal);
        await turn;
        signal.throwIfAborted();
        await layFiles(this.folderOf(job, input.volume), files, beside);
        meter.end();
        const fromCache = wanted.every(({ about }) => about !== undefined);
        const { commit } = source;
        return { ...summaryOf(input.id, files), ...(commit !== undefined && { commit }), from_cache: fromCache };
      } finally {
        await rm(unpacked, { recursive: true, force: true });
      }
    });
    await writeFile(this.#record(job, input), JSON.stringify({ provided, boot: this.#boot }));
    if (!provided.from_cache) await this.#tidy();
    return provided;
  }

  async #obtain(
    wanted: readonly Wanted[],
    { authorize, client = this.#client }: RemoteSource,
    { signal, meter, cacheSeconds }: { signal: AbortSignal; meter: InputMeter; cacheSeconds: number },
  ): Promise<readonly ObtainedFile[]> {
    const room = await this.#room.take(await this.#missing(wanted));
    const stop = new AbortController();
    const all = AbortSignal.any([signal, stop.signal]);
    const work = wanted.map(async ({ file, key, about }): Promise<ObtainedFile> => {
      const count = meter.begin();
      const member: OnBytes = (bytes, wereThere) => {
        count.add(bytes);
        if (!wereThere) room.took(bytes);
      };
      const fetch = async (members: ReadonlySet<OnBytes>, shared: AbortSignal): Promise<About> => {
        const onBytes: OnBytes = (...of) => members.forEach((tell) => void tell(...of));
        const room = async (bytes: number) => (await this.#room.take(bytes)).giveBack();
        const means = { client, authorize, clock: this.#clock, signal: shared, slots: this.#slots, room };
        const part = this.#cache.partial(key);
        // Whoever gave it up a moment ago may still have it open.
        return await this.#turns.run(part, async () => {
          const fetched = await this.#open.run(shared, () => fetchFile(file, { ...means, part, onBytes }));
          const keepUntil = new Date(this.#clock.wallMs() + cacheSeconds * 1000).toISOString();
          return await this.#cache.keep(key, { ...fetched, keep_until: keepUntil });
        });
      };
      try {
        const { bytes, sha256 } = about ?? (await this.#fetches.run(key, member, all, fetch));
        count.end(bytes);
        return { path: file.path, object: this.#cache.object(key), bytes, sha256 };
      } catch (error) {
        stop.abort(error);
        throw error;
      }
    });
    try {
      await Promise.allSettled(work);
      signal.throwIfAborted();
      if (stop.signal.aborted) throw stop.signal.reason;
      return await Promise.all(work);
    } finally {
      room.giveBack();
    }
  }

  /** The files of a source; of one that is a folder in a tar, those that are in there. */
  async #unpack(
    { files: [first] }: RemoteSource,
    obtained: readonly ObtainedFile[],
    to: string,
    signal: AbortSignal,
  ): Promise<Unpacked> {
    const [tar] = obtained;
    if (first?.unpackTo === undefined || !tar) return { files: obtained, folders: [], links: [] };
    const room = (bytes: number) => this.#room.take(bytes);
    return await unpackFolder(tar.object, { to, at: first.unpackTo, room, signal });
  }

  /** Bytes that are still to be fetched. */
  async #missing(wanted: readonly Wanted[]): Promise<number> {
    const missing = await mapAtMost(most.files, wanted, async ({ file, key, about }) => {
      if (about || file.size === undefined) return 0;
      const { blocks } = await stat(this.#cache.partial(key)).catch(() => ({ blocks: 0 }));
      return Math.max(0, file.size - blocks * 512);
    });
    return missing.reduce((sum, bytes) => sum + bytes, 0);
  }

  /**
   * Of the content and of who asks: what one may have is not another's by that. Who comes with a link has shown it to the source
   * already, and the next link to the same content is another one.
   */
  #keyOf(
    file: RemoteFile,
    job: string,
    { id, source }: ResolvedInput,
    credential: ProvideOptions['credential'],
  ): string {
    const { query: _link, ...key } = credential ?? {};
    const whose = credential === undefined ? 'public' : sha256Of(JSON.stringify(Object.entries(key).sort()));
    const version = file.version ?? `${job} ${id} ${file.path}`;
    return sha256Of(JSON.stringify([source.kind, version, whose]));
  }

  async #provided(job: string, input: ResolvedInput): Promise<ProvidedInput | undefined> {
    try {
      const { provided, boot } = JSON.parse(await readFile(this.#record(job, input), 'utf8')) as InputRecord;
      return boot === this.#boot ? provided : undefined;
    } catch (error) {
      // Not there, or cut when the agent was killed.
      if (!(error instanceof SyntaxError) && (error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      await mkdir(this.#records(job), { recursive: true });
      return;
    }
  }

  #record(job: string, { id }: ResolvedInput): string {
    return join(this.#records(job), id);
  }

  #unpacked(job: string, { id }: ResolvedInput): string {
    return join(this.#unpackedOf(job), id);
  }

  #unpackedOf(job: string): string {
    return join(this.#options.policy.inputs.dir, 'cache', 'unpacked', job);
  }

  #records(job: string): string {
    return join(this.#options.policy.inputs.dir, 'cache', 'provided', job);
  }

  /** What is too much in the cache troubles no job. */
  async #tidy(): Promise<void> {
    try {
      await this.prune();
    } catch (err) {
      this.#options.log.warn({ err }, 'the cache of inputs could not be tidied up');
    }
  }
}

function ownAddresses(): readonly string[] {
  const own = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  return own.map(({ address }) => address).filter((address) => addressOfHost(address) !== undefined);
}

function revisionFailure(sha256: string, error: unknown): unknown {
  if (!(error instanceof AgentError) || error.code === 'disk.full') return error;
  const { reason = error.message, ...detail } = error.detail;
  return new AgentError('revision.failed', { ...detail, reason, revision: sha256 }, { cause: error });
}

function summaryOf(id: string, files: readonly ObtainedFile[]): Omit<ProvidedInput, 'from_cache'> {
  const lines = files
    .toSorted((a, b) => Buffer.compare(Buffer.from(a.path), Buffer.from(b.path)))
    .map(({ path, sha256 }) => `${sha256}  ${path}\n`);
  const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
  return { id, files: files.length, bytes, sha256: sha256Of(lines.join('')) };
}

function sha256Of(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

/**
 * What waits on this host for the control plane: `<state_dir>/jobs/<job>/<sha256>`, and beside it `<name>.json`, which says what it
 * is. The bytes are there before the note is, and go once they were handed over; the note stays with the job.
 */
import { createHash, type Hash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { open, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { type Static, Type } from 'typebox';
import { AgentError } from '../../contract/failures.ts';
import { identifierPattern } from '../../contract/identifiers.ts';
import { KeptOutput } from '../../contract/job-outputs.ts';
import { judge } from '../../contract/validate.ts';
import { isDiskFull } from '../../kit/disk-full.ts';
import { syncFile, syncPath, writeDurable } from '../../kit/durable.ts';
import { namesIn } from '../../kit/names-in.ts';
import { UntrustedFolder } from '../../kit/untrusted-folder.ts';
import { GrowingFile } from './growing-file.ts';
import { gibibytes, type Room, type RoomLimits, SpoolRoom } from './spool-room.ts';
import { SyncBehind } from './sync-behind.ts';
import type { Write } from './take-tar.ts';

const Note = Type.Object(
  {
    output: KeptOutput,
    state: Type.Enum(['waiting', 'handed_over', 'refused'], { description: 'Whether the control plane has it.' }),
  },
  { additionalProperties: false, description: 'What is known of an output.' },
);
type Note = Static<typeof Note>;

export type OutputState = Note['state'];

export interface Spooled extends Note {
  readonly job: string;
}

/** Writes an output, which can be read meanwhile, and says what it is. */
export type Fill = (write: Write, file: GrowingFile) => Promise<Omit<KeptOutput, 'sha256' | 'bytes'>>;

export interface SpoolLimits extends RoomLimits {
  /** Most bytes of one output. */
  readonly each: number;
}

/** Jobs of which nothing waits any more are forgotten after this. */
const keptMs = 7 * 24 * 60 * 60 * 1000;
const note = '.json';
const mostNoteBytes = 64 * 1024;

export class Spool {
  readonly #folder: string;
  readonly #limits: SpoolLimits;
  readonly #jobs = new Map<string, Map<string, Note>>();
  readonly #room: SpoolRoom;
  #turn = 0;
  /** By job and name, of what is kept: in which turn it was begun. What an earlier life has kept is older than all. */
  readonly #turns = new Map<string, number>();

  /** `now` in milliseconds since 1970. */
  constructor(folder: string, limits: SpoolLimits, now: number, free = freeOf) {
    this.#folder = folder;
    this.#limits = limits;
    const waiting = () => this.waiting().reduce((sum, { output }) => sum + output.bytes, 0);
    this.#room = new SpoolRoom(limits, { free: () => free(folder), waiting });
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    for (const job of readdirSync(folder)) {
      if (new RegExp(identifierPattern).test(job)) this.#open(job, now);
    }
  }

  of(job: string): KeptOutput[] {
    return [...(this.#jobs.get(job)?.values() ?? [])]
      .map(({ output }) => output)
      .toSorted((a, b) => (a.name < b.name ? -1 : 1));
  }

  find(job: string, name: string): Spooled | undefined {
    const found = this.#jobs.get(job)?.get(name);
    return found && { job, ...found };
  }

  /** Everything that the control plane does not have. */
  waiting(job?: string): Spooled[] {
    return [...this.#jobs]
      .filter(([each]) => job === undefined || each === job)
      .flatMap(([each, notes]) => [...notes.values()].map((known) => ({ job: each, ...known })))
      .filter(({ state }) => state === 'waiting');
  }

  fileOf({ job, output }: Pick<Spooled, 'job' | 'output'>): string {
    return join(this.#folder, job, output.sha256);
  }

  /**
   * Lets `fill` write an output, and keeps it under what it says it is. One that is as it was stays what it was, and so does one that
   * was begun later than this. `disk.full` where it would leave too little room, `output.refused` where it is too large; nothing of it
   * stays then.
   */
  async keep(job: string, fill: Fill): Promise<{ readonly spooled: Spooled; readonly isNew: boolean }> {
    const folder = join(this.#folder, job);
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    this.#turn += 1;
    const turn = this.#turn;
    const part = join(folder, `.${turn}.part`);
    const room = this.#room.enter();
    try {
      const { facts, sha256, bytes } = await this.#written(part, room, fill);
      const output: KeptOutput = { ...facts, sha256, bytes };
      if (this.find(job, output.name)?.output.sha256 !== sha256) await syncFile(part);
      // Nothing is waited for from here on: what is kept meanwhile is seen.
      const before = this.find(job, output.name);
      const key = `${job}/${output.name}`;
      if (before && turn < (this.#turns.get(key) ?? 0)) return { spooled: before, isNew: false };
      this.#turns.set(key, turn);
      if (before?.output.sha256 === sha256) return { spooled: before, isNew: false };
      renameSync(part, join(folder, sha256));
      syncPath(folder);
      this.#note(job, { output, state: 'waiting' });
      if (before) this.#dropBytes(job, before.output.sha256);
      return { spooled: { job, output, state: 'waiting' }, isNew: true };
    } catch (error) {
      if (!isDiskFull(error)) throw error;
      throw new AgentError(
        'disk.full',
        { reason: 'There is no room for what is to be kept of the job.' },
        { cause: error },
      );
    } finally {
      rmSync(part, { force: true });
      room.leave();
    }
  }

  /** Nothing, where it is another one by now. */
  end({ job, output }: Pick<Spooled, 'job' | 'output'>, state: 'handed_over' | 'refused'): void {
    if (this.find(job, output.name)?.output.sha256 !== output.sha256) return;
    const ended = { output, state };
    try {
      this.#put(job, ended);
    } catch (error) {
      if (!isDiskFull(error)) throw error;
      // Its bytes are the room that its note needs.
      this.#remember(job, ended);
      this.#dropBytes(job, output.sha256);
      this.#put(job, ended);
    }
    this.#dropBytes(job, output.sha256);
  }

  forget(job: string): void {
    this.#jobs.delete(job);
    for (const key of this.#turns.keys()) if (key.startsWith(`${job}/`)) this.#turns.delete(key);
    rmSync(join(this.#folder, job), { recursive: true, force: true });
  }

  async #written(part: string, room: Room, fill: Fill) {
    const file = await open(part, 'wx', 0o600);
    const hash = createHash('sha256');
    let bytes = 0;
    const growing = new GrowingFile(part);
    const behind = new SyncBehind(file);
    const append = async (piece: Uint8Array) => {
      await file.appendFile(piece);
      growing.grow(piece.length);
      if (growing.isWanted) behind.written(piece.length);
    };
    const pieces = new Pieces(hash, (piece) => room.write(piece.length, () => append(piece)));
    const write: Write = async (chunk) => {
      bytes += chunk.length;
      if (bytes > this.#limits.each) {
        throw new AgentError('output.refused', { reason: `It is larger than ${gibibytes(this.#limits.each)}.` });
      }
      await pieces.add(chunk);
    };
    try {
      const facts = await fill(write, growing);
      await pieces.end();
      await behind.end();
      return { facts, sha256: hash.digest('hex'), bytes };
    } finally {
      await pieces.settled();
      await behind.settled();
      growing.end();
      await file.close();
    }
  }

  /** Bytes without a note would be nobody's. */
  #note(job: string, kept: Note): void {
    try {
      this.#put(job, kept);
    } catch (error) {
      this.#dropBytes(job, kept.output.sha256);
      throw error;
    }
  }

  #put(job: string, kept: Note): void {
    writeDurable(join(this.#folder, job, `${kept.output.name}${note}`), JSON.stringify(kept), 0o600);
    this.#remember(job, kept);
  }

  #remember(job: string, kept: Note): void {
    const notes = this.#jobs.get(job) ?? new Map<string, Note>();
    this.#jobs.set(job, notes.set(kept.output.name, kept));
  }

  #dropBytes(job: string, sha256: string): void {
    const isWanted = this.waiting(job).some(({ output }) => output.sha256 === sha256);
    if (!isWanted) rmSync(join(this.#folder, job, sha256), { force: true });
  }

  /** What an earlier life has left: notes whose bytes are gone were cut short, and bytes without a note as well. */
  #open(job: string, now: number): void {
    const folder = join(this.#folder, job);
    const entries = readdirSync(folder);
    const notes = new Map(
      entries
        .filter((entry) => entry.endsWith(note))
        .map((entry) => readNote(join(folder, entry)))
        .filter((known) => known !== undefined)
        .filter(({ output, state }) => state !== 'waiting' || sizeOf(join(folder, output.sha256)) === output.bytes)
        .map((known) => [known.output.name, known]),
    );
    const wanted = new Set(
      [...notes.values()].filter(({ state }) => state === 'waiting').map(({ output }) => output.sha256),
    );
    if (wanted.size === 0 && statSync(folder).mtimeMs < now - keptMs) {
      rmSync(folder, { recursive: true, force: true });
      return;
    }
    for (const entry of entries) {
      if (!wanted.has(entry) && !entry.endsWith(note)) rmSync(join(folder, entry), { force: true });
    }
    this.#jobs.set(job, notes);
  }
}

const pieceBytes = 512 * 1024;

/** Engines give archives in small chunks: they are hashed and written in large pieces, and one is written while the next comes. */
class Pieces {
  readonly #hash: Hash;
  readonly #write: (piece: Uint8Array) => Promise<void>;
  #filling = Buffer.allocUnsafeSlow(pieceBytes);
  #spare = Buffer.allocUnsafeSlow(pieceBytes);
  #length = 0;
  #writing = Promise.resolve();

  constructor(hash: Hash, write: (piece: Uint8Array) => Promise<void>) {
    this.#hash = hash;
    this.#write = write;
  }

  /** Fails where a piece before could not be written. The chunk is the caller's again when it resolves. */
  async add(chunk: Uint8Array): Promise<void> {
    for (let at = 0; at < chunk.length; ) {
      const part = chunk.subarray(at, at + pieceBytes - this.#length);
      this.#filling.set(part, this.#length);
      this.#length += part.length;
      at += part.length;
      if (this.#length === pieceBytes) await this.#begin();
    }
  }

  /** Resolves when all of it is written. */
  async end(): Promise<void> {
    if (this.#length > 0) await this.#begin();
    await this.#writing;
  }

  /** Resolves when nothing is written any more, whatever became of it. */
  async settled(): Promise<void> {
    await this.#writing.catch(() => undefined);
  }

  async #begin(): Promise<void> {
    const piece = this.#filling.subarray(0, this.#length);
    this.#hash.update(piece);
    await this.#writing;
    this.#writing = this.#write(piece);
    // Told with the next piece.
    this.#writing.catch(() => undefined);
    [this.#filling, this.#spare] = [this.#spare, this.#filling];
    this.#length = 0;
  }
}

/**
 * What became of the outputs of a job, by name, read from a spool that may be somebody else's and at work. Empty where there is
 * none.
 */
export async function outputStates(spool: string, job: string): Promise<ReadonlyMap<string, OutputState>> {
  const states = new Map<string, OutputState>();
  const refuse = (file: string, reason: string) =>
    new AgentError('file.unusable', { reason: `${file}: ${reason}`, file });
  try {
    const folder = new UntrustedFolder(join(spool, job), refuse);
    try {
      for (const entry of (await namesIn(join(spool, job))).filter((name) => name.endsWith(note))) {
        const known = noteIn(() => folder.read(entry, mostNoteBytes).toString());
        if (known) states.set(known.output.name, known.state);
      }
    } finally {
      folder.close();
    }
  } catch (error) {
    if (!(error instanceof AgentError)) throw error;
  }
  return states;
}

function readNote(file: string): Note | undefined {
  return noteIn(() => readFileSync(file, 'utf8'));
}

function noteIn(read: () => string): Note | undefined {
  try {
    const judged = judge(Note, JSON.parse(read()));
    return judged.ok ? judged.value : undefined;
  } catch {
    return undefined;
  }
}

function sizeOf(file: string): number | undefined {
  return statSync(file, { throwIfNoEntry: false })?.size;
}

async function freeOf(folder: string): Promise<number> {
  const { bavail, bsize } = await statfs(folder);
  return bavail * bsize;
}

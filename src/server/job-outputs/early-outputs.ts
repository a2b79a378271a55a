/**
 * What nodes send of outputs that they still read, before anybody knows the sha256: a part beside those of offered outputs.
 *
 *   begun ─▶ the part of an offered output        dropped
 *
 * Nothing is kept by this: an output is offered, judged and taken as any other, and only finds most of its bytes here already. So what
 * is early has rights over nothing: it counts against what a project may keep, gives way to what is offered, is of the attempt that
 * its node is at, and goes an hour after the last piece. This process alone knows of it; what an earlier one has left is taken away.
 */
import type { Readable } from 'node:stream';
import { AgentError } from '../../contract/failures.ts';
import type { EarlyOutput, OutputReceived } from '../../contract/job-outputs.ts';
import type { StoredOutput } from '../db/entities/job-output.ts';
import type { AnnouncedFile, PieceFiles } from '../files/piece-files.ts';
import { found } from '../http/access.ts';

/** Whose it is; another attempt of the job, also on the same node, is somebody else. */
export interface EarlyOwner {
  readonly node_id: string;
  readonly project_id: string;
  readonly attempt: number;
}

export interface Early extends EarlyOutput, EarlyOwner {
  /** When it was begun, or the last piece of it came; by a clock that goes forward only, in milliseconds. */
  heard_at: number;
}

/** A node sends two at a time, each until it is offered. Beyond that the one that was not heard of for the longest is none that it is at. */
const mostOfNode = 4;
const keptMs = 60 * 60 * 1000;
const prefix = 'early-';

export class EarlyOutputs {
  readonly #files: PieceFiles;
  readonly #monotonicMs: () => number;
  readonly #open = new Map<string, Early>();

  constructor(files: PieceFiles, monotonicMs: () => number) {
    this.#files = files;
    this.#monotonicMs = monotonicMs;
  }

  /** Bytes that were announced of those of a project. */
  bytesOf(projectId: string): number {
    return sum(this.#of(projectId));
  }

  /** One takes the place of another of the same output. `room`: most bytes that it may have. */
  begin(owner: EarlyOwner, output: EarlyOutput, room: number): OutputReceived {
    this.dropOld();
    const { job_id, name, bytes } = output;
    const key = keyOf(owner.node_id, output.upload);
    const same = this.#open.get(key);
    if (same && same.job_id === job_id && same.attempt === owner.attempt && same.bytes === bytes) {
      return { received: this.#files.received(fileOf(same)), complete: false, refused: null };
    }
    if (same) throw new AgentError('resource.conflict', { reason: 'It was begun for something else.' });
    const older = [...this.#open.values()].filter((each) => each.job_id === job_id && each.name === name);
    for (const each of older) this.#drop(each);
    if (bytes > room) return { received: 0, complete: false, refused: 'There is no room for it before it is offered.' };
    const own = [...this.#open.values()].filter(({ node_id }) => node_id === owner.node_id);
    const [silent] = own.toSorted((one, other) => one.heard_at - other.heard_at);
    if (silent && own.length >= mostOfNode) this.#drop(silent);
    this.#open.set(key, { ...owner, ...output, heard_at: this.#monotonicMs() });
    return { received: 0, complete: false, refused: null };
  }

  /** `resource.not_found` for one that was dropped, or is of another node. */
  get(nodeId: string, upload: string): Early {
    return found('early output', upload, this.#open.get(keyOf(nodeId, upload)));
  }

  /** As `PieceFiles.take`, of all but the last byte: with that it would be whole, and nobody could judge it. */
  async take(early: Early, offset: number, piece: Readable): Promise<OutputReceived> {
    const file = fileOf(early);
    early.heard_at = this.#monotonicMs();
    await this.#files.take(file, offset, piece);
    const isGone = this.#open.get(keyOf(early.node_id, early.upload)) !== early;
    if (isGone) await this.#remove(early);
    return { received: isGone ? 0 : this.#files.received(file), complete: false, refused: null };
  }

  /** What is here of it is that of an offered output from now on, where it can be. Of one that is not here any more, nothing. */
  async becomes(
    nodeId: string,
    upload: string,
    output: Pick<StoredOutput, 'job_id' | 'project_id' | 'sha256' | 'bytes'>,
  ) {
    const early = this.#open.get(keyOf(nodeId, upload));
    if (early?.job_id !== output.job_id || early.bytes !== output.bytes) return;
    this.#open.delete(keyOf(nodeId, upload));
    const to = { group: output.project_id, name: output.sha256, size: output.bytes };
    await this.#files.becomes(fileOf(early), to);
  }

  /** Whoever is not there is dropped already. */
  drop(nodeId: string, upload: string): void {
    const early = this.#open.get(keyOf(nodeId, upload));
    if (early) this.#drop(early);
  }

  dropOfJob(jobId: string): void {
    for (const each of [...this.#open.values()]) if (each.job_id === jobId) this.#drop(each);
  }

  /** Drops the eldest of a project until the others have at most `room` bytes. What is of the output that was offered is about to be it. */
  giveWay(projectId: string, room: number, offered: Pick<StoredOutput, 'job_id' | 'name'>): void {
    const others = this.#of(projectId).filter(({ job_id, name }) => job_id !== offered.job_id || name !== offered.name);
    let bytes = sum(others);
    for (const each of others) {
      if (bytes <= room) return;
      bytes -= each.bytes;
      this.#drop(each);
    }
  }

  /** Takes a part away that nobody sends any more; false for what is none of these. */
  async dropOrphan(group: string, name: string): Promise<boolean> {
    if (!name.startsWith(prefix)) return false;
    const isOpen = async () => this.#of(group).some((each) => fileOf(each).name === name);
    await this.#files.remove(group, name, isOpen);
    return true;
  }

  dropOld(): void {
    const now = this.#monotonicMs();
    for (const each of [...this.#open.values()]) if (each.heard_at < now - keptMs) this.#drop(each);
  }

  /** Eldest first. */
  #of(projectId: string): Early[] {
    return [...this.#open.values()].filter(({ project_id }) => project_id === projectId);
  }

  #drop(early: Early): void {
    this.#open.delete(keyOf(early.node_id, early.upload));
    // What cannot be taken away now is when the folder is looked through.
    this.#remove(early).catch(() => undefined);
  }

  async #remove(early: Early): Promise<void> {
    const { group, name } = fileOf(early);
    await this.#files.remove(group, name, async () => this.#open.has(keyOf(early.node_id, early.upload)));
  }
}

function sum(outputs: readonly Early[]): number {
  return outputs.reduce((all, { bytes }) => all + bytes, 0);
}

function keyOf(nodeId: string, upload: string): string {
  return `${nodeId}/${upload}`;
}

function fileOf({ project_id, node_id, upload, bytes }: Early): AnnouncedFile {
  const damaged = () => new AgentError('output.damaged', { reason: 'Its last byte comes with its sha256.' });
  return {
    ...{ group: project_id, name: `${prefix}${node_id}-${upload}`, size: bytes, isHashed: true },
    judge: () => {
      throw damaged();
    },
    tooLong: damaged,
  };
}

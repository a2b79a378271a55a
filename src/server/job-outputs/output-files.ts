/**
 * The bytes of what is kept of jobs: `<data_dir>/job-outputs/<project>/<sha256>`. What two jobs of a project have in common is
 * there once; what two projects have is there twice, so that nobody finds out what others have.
 */
import type { FileHandle } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { AgentError } from '../../contract/failures.ts';
import type { StoredOutput } from '../db/entities/job-output.ts';
import type { Store } from '../db/store.ts';
import { type AnnouncedFile, PieceFiles } from '../files/piece-files.ts';
import { EarlyOutputs } from './early-outputs.ts';

export type Content = Pick<StoredOutput, 'project_id' | 'sha256' | 'bytes'>;

/** Longer than anybody is between announcing a file and sending a piece of it. */
const orphanMs = 60 * 60 * 1000;

export class OutputFiles {
  /** Parts of what nobody knows the sha256 of yet. */
  readonly early: EarlyOutputs;
  readonly #files: PieceFiles;
  readonly #store: Store;

  constructor(folder: string, store: Store, monotonicMs: () => number) {
    this.#files = new PieceFiles(folder, 'outputs of jobs');
    this.early = new EarlyOutputs(this.#files, monotonicMs);
    this.#store = store;
  }

  get folder(): string {
    return this.#files.folder;
  }

  isWhole(content: Content): boolean {
    return this.#files.isWhole(announced(content));
  }

  /** As `PieceFiles.received`. */
  received(content: Content): number {
    return this.#files.received(announced(content));
  }

  /** As `PieceFiles.take`, and `output.damaged` for other bytes than were announced. */
  async take(content: Content, offset: number, piece: Readable): Promise<boolean> {
    return await this.#files.take(announced(content), offset, piece);
  }

  /** Undefined where it is not whole. */
  async open(content: Content): Promise<FileHandle | undefined> {
    return await this.#files.open(announced(content));
  }

  /** Takes away what no job has any more. */
  async drop({ project_id, sha256 }: Pick<Content, 'project_id' | 'sha256'>): Promise<void> {
    await this.#files.remove(project_id, sha256, async () => {
      return (await this.#store.read((tx) => tx.job_outputs.count({ project_id, sha256 }))) > 0;
    });
  }

  /** Takes away what a killed process has left. `now` in milliseconds since 1970, by the clock of the file system. */
  async dropOrphans(now: number): Promise<void> {
    this.early.dropOld();
    for await (const { group, name, writtenAt } of this.#files.all()) {
      if (await this.early.dropOrphan(group, name)) continue;
      if (writtenAt < now - orphanMs) await this.drop({ project_id: group, sha256: name });
    }
  }
}

function announced({ project_id, sha256, bytes }: Content): AnnouncedFile {
  const damaged = (reason: string) => new AgentError('output.damaged', { reason, sha256 });
  return {
    ...{ group: project_id, name: sha256, size: bytes, isHashed: true },
    judge: (measured) => {
      if (measured.size !== bytes) throw damaged(`It has ${measured.size} bytes, and ${bytes} were announced.`);
      if (measured.sha256 !== sha256) throw damaged('Its bytes are others than were announced.');
    },
    tooLong: () => damaged(`It is longer than ${bytes} bytes.`),
  };
}

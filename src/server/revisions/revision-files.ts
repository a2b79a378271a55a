/**
 * The bytes of pushes and of revisions: `<data_dir>/revisions/<project>/<id of the push, or sha256 of the revision>`. What two
 * projects have is there twice, so that nobody finds out what others have.
 */
import { type FileHandle, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { AgentError } from '../../contract/failures.ts';
import type { Push, Revision } from '../db/entities/revision.ts';
import type { Store } from '../db/store.ts';
import { type AnnouncedFile, PieceFiles } from '../files/piece-files.ts';

export type Upload = Pick<Push, 'id' | 'project_id' | 'sha256' | 'bytes'>;
export type Content = Pick<Revision, 'project_id' | 'sha256' | 'bytes'>;

/** Longer than anything takes between announcing bytes and the next of them. */
const orphanMs = 60 * 60 * 1000;

export class RevisionFiles {
  readonly #files: PieceFiles;
  readonly #store: Store;

  constructor(folder: string, store: Store) {
    this.#files = new PieceFiles(folder, 'revisions');
    this.#store = store;
  }

  isWhole(push: Upload): boolean {
    return this.#files.isWhole(announced(push));
  }

  /** As `PieceFiles.received`. */
  received(push: Upload): number {
    return this.#files.received(announced(push));
  }

  /** As `PieceFiles.take`, and `push.damaged` for other bytes than were announced. */
  async take(push: Upload, offset: number, piece: Readable): Promise<boolean> {
    return await this.#files.take(announced(push), offset, piece);
  }

  async assertRoom(): Promise<void> {
    await this.#files.assertRoom();
  }

  /** As `PieceFiles.whileRoom`. */
  whileRoom(chunks: AsyncIterable<Buffer>): AsyncIterable<Buffer> {
    return this.#files.whileRoom(chunks);
  }

  /** What was sent, and where what is made of it may be put meanwhile: that goes with `dropWork`. */
  async workOf({ project_id, id }: Pick<Push, 'project_id' | 'id'>) {
    const at = (name: string) => join(this.#files.folder, project_id, name);
    await this.dropWork({ project_id, id });
    return { upload: at(id), spool: at(`.${id}.spool`), tar: at(`.${id}.tar`) };
  }

  async dropWork({ project_id, id }: Pick<Push, 'project_id' | 'id'>): Promise<void> {
    for (const kind of ['spool', 'tar'])
      await rm(join(this.#files.folder, project_id, `.${id}.${kind}`), { force: true });
  }

  /** A tar that was written, and is on the disk, is that of the revision, which `known` puts into the store. */
  async keep(tar: string, { project_id, sha256 }: Pick<Content, 'project_id' | 'sha256'>, known: () => Promise<void>) {
    await this.#files.adopt(tar, { group: project_id, name: sha256 }, known);
  }

  /** Whether its tar is there. */
  has({ project_id, sha256, bytes }: Content): boolean {
    return this.#files.isWhole({ group: project_id, name: sha256, size: bytes });
  }

  /** Undefined where it is not there whole. */
  async open({ project_id, sha256, bytes }: Content): Promise<FileHandle | undefined> {
    return await this.#files.open({ group: project_id, name: sha256, size: bytes });
  }

  /** Takes away what was sent for a push that is over. */
  async dropUpload({ project_id, id }: Pick<Push, 'project_id' | 'id'>): Promise<void> {
    await this.#drop(project_id, id);
  }

  /** Takes away what is no revision any more. */
  async drop({ project_id, sha256 }: Pick<Content, 'project_id' | 'sha256'>): Promise<void> {
    await this.#drop(project_id, sha256);
  }

  /** Takes away what a killed process has left. `now` in milliseconds since 1970, by the clock of the file system. */
  async dropOrphans(now: number): Promise<void> {
    for await (const { group, name, writtenAt } of this.#files.all()) {
      if (writtenAt < now - orphanMs) await this.#drop(group, name);
    }
  }

  async #drop(project_id: string, name: string): Promise<void> {
    await this.#files.remove(project_id, name, async () => {
      return await this.#store.read(async (tx) => {
        const push = await tx.pushes.get(name);
        if (push?.state === 'receiving' || push?.state === 'judging') return true;
        return (await tx.revisions.find({ project_id, sha256: name })) !== undefined;
      });
    });
  }
}

function announced({ project_id, id, sha256, bytes }: Upload): AnnouncedFile {
  const damaged = (reason: string) => new AgentError('push.damaged', { reason });
  return {
    ...{ group: project_id, name: id, size: bytes, isHashed: sha256 !== null },
    judge: (measured) => {
      if (measured.size !== bytes) throw damaged(`It has ${measured.size} bytes, and ${bytes} were announced.`);
      if (sha256 !== null && measured.sha256 !== sha256) throw damaged('Its bytes are others than were announced.');
    },
    tooLong: () => damaged(`It is longer than ${bytes} bytes.`),
  };
}

/** The files of releases on disk: `<data_dir>/releases/<version>/<name>`, each the very one that its manifest names. */
import type { FileHandle } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { AgentError } from '../../contract/failures.ts';
import type { ReleaseArtifact } from '../../contract/release.ts';
import { judgeArtifact } from '../../policy/release-trust.ts';
import { type AnnouncedFile, PieceFiles } from '../files/piece-files.ts';

/** A file of a release, and which release that is. */
export interface FileOf {
  readonly version: string;
  readonly artifact: ReleaseArtifact;
}

export class ReleaseFiles {
  readonly #files: PieceFiles;

  /** Versions and names were judged by their schemas, so none is a path. */
  constructor(folder: string) {
    this.#files = new PieceFiles(folder, 'releases');
  }

  get folder(): string {
    return this.#files.folder;
  }

  /** As `PieceFiles.received`. */
  received(file: FileOf): number {
    return this.#files.received(announced(file));
  }

  /** Names of the files that are not whole. */
  missing(version: string, artifacts: readonly ReleaseArtifact[]): string[] {
    return artifacts
      .filter((artifact) => !this.#files.isWhole(announced({ version, artifact })))
      .map(({ name }) => name);
  }

  /** As `PieceFiles.take`, and `update.damaged` for another file. */
  async take(file: FileOf, offset: number, piece: Readable): Promise<boolean> {
    return await this.#files.take(announced(file), offset, piece);
  }

  /** The file, open for reading; undefined where it is not whole. */
  async open(file: FileOf): Promise<FileHandle | undefined> {
    return await this.#files.open(announced(file));
  }

  /** Takes everything of a release away. */
  async remove(version: string): Promise<void> {
    await this.#files.removeGroup(version);
  }
}

function announced({ version, artifact }: FileOf): AnnouncedFile {
  const { name, size } = artifact;
  return {
    ...{ group: version, name, size, isHashed: true },
    judge: (measured) => judgeArtifact(artifact, 'packed', measured),
    tooLong: () => new AgentError('update.damaged', { file: name, reason: `It is longer than ${size} bytes.` }),
  };
}

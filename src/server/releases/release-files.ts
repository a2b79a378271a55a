/**
 * The files of releases on disk: `<data_dir>/releases/<version>/<name>`. A file has its name only once it was the very one that
 * the manifest names, by size and hash of what lies on the disk; until then it is `.<name>.part`.
 *
 * A file comes in one piece or in several, each behind what is there. A piece that is cut, or for which there is no room, leaves
 * what was there before it.
 */
import { createWriteStream, type Stats, statSync } from 'node:fs';
import { type FileHandle, mkdir, open, rm, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { AgentError } from '../../contract/failures.ts';
import type { ReleaseArtifact } from '../../contract/release.ts';
import { moveDurable } from '../../kit/durable.ts';
import { measureFile } from '../../kit/measure-file.ts';
import { KeyedMutex } from '../../kit/mutex.ts';
import { judgeArtifact } from '../../policy/release-trust.ts';

/** A file of a release, and which release that is. */
export interface FileOf {
  readonly version: string;
  readonly artifact: ReleaseArtifact;
}

export class ReleaseFiles {
  readonly folder: string;
  readonly #atWork = new KeyedMutex();

  /** `folder` is made when the first file comes. Versions and names were judged by their schemas, so none is a path. */
  constructor(folder: string) {
    this.folder = folder;
  }

  /** Bytes of it that are here; all of them only if it is whole: of one that nobody has judged yet, the last is asked for again. */
  received({ version, artifact }: FileOf): number {
    if (this.#isWhole({ version, artifact })) return artifact.size;
    return Math.min(statsOf(this.#partOf(version, artifact))?.size ?? 0, artifact.size - 1);
  }

  /** Names of the files that are not whole. */
  missing(version: string, artifacts: readonly ReleaseArtifact[]): string[] {
    return artifacts.filter((artifact) => !this.#isWhole({ version, artifact })).map(({ name }) => name);
  }

  /**
   * Takes a piece that begins at `offset`, which is what `received` says, or 0 to begin anew. True if the file is whole with it.
   * `resource.conflict` for another offset, `update.damaged` for another file, `disk.full`; a file that is whole stays as it is.
   */
  async take(file: FileOf, offset: number, piece: Readable): Promise<boolean> {
    return await this.#atWork.run(`${file.version}/${file.artifact.name}`, async () => {
      if (this.#isWhole(file)) {
        for await (const _ of piece);
        return true;
      }
      return await this.#append(file, offset, piece);
    });
  }

  /** The file, open for reading; undefined where it is not whole. */
  async open(file: FileOf): Promise<FileHandle | undefined> {
    return this.#isWhole(file) ? await open(this.#pathOf(file.version, file.artifact)) : undefined;
  }

  /** Takes everything of a release away. */
  async remove(version: string): Promise<void> {
    await rm(join(this.folder, version), { recursive: true, force: true });
  }

  async #append(file: FileOf, offset: number, piece: Readable): Promise<boolean> {
    const { version, artifact } = file;
    const path = this.#pathOf(version, artifact);
    const part = this.#partOf(version, artifact);
    const there = this.received(file);
    if (offset !== there && offset !== 0) {
      throw new AgentError('resource.conflict', { reason: `${artifact.name} goes on at ${there}, not at ${offset}.` });
    }
    await mkdir(join(this.folder, version), { recursive: true, mode: 0o700 });
    try {
      if (offset > 0) await truncate(part, offset);
      const bounded = atMost(artifact, artifact.size - offset);
      const target = createWriteStream(part, { flags: offset === 0 ? 'w' : 'a', mode: 0o600, flush: true });
      // The request outlives what is wrong with it: its answer is on the same connection.
      await pipeline(piece.iterator({ destroyOnReturn: false }), bounded, target);
    } catch (error) {
      if (offset === 0) await rm(part, { force: true });
      else await truncate(part, offset).catch(() => rm(part, { force: true }));
      throw asFailure(error, artifact.name);
    }
    if ((statsOf(part)?.size ?? 0) < artifact.size) return false;
    await this.#accept(artifact, part, path);
    return true;
  }

  /** By what lies on the disk, whoever wrote it and when. */
  async #accept(artifact: ReleaseArtifact, part: string, path: string): Promise<void> {
    const measured = await measureFile(part);
    try {
      judgeArtifact(artifact, 'packed', measured);
    } catch (error) {
      await rm(part, { force: true });
      throw error;
    }
    moveDurable(part, path);
  }

  #isWhole({ version, artifact }: FileOf): boolean {
    return statsOf(this.#pathOf(version, artifact))?.size === artifact.size;
  }

  #pathOf(version: string, { name }: ReleaseArtifact): string {
    return join(this.folder, version, name);
  }

  /** No file of a release has such a name. */
  #partOf(version: string, { name }: ReleaseArtifact): string {
    return join(this.folder, version, `.${name}.part`);
  }
}

/** Undefined for what is not there, and for what is no file. */
function statsOf(path: string): Stats | undefined {
  const stats = statSync(path, { throwIfNoEntry: false });
  return stats?.isFile() ? stats : undefined;
}

/** Passes chunks on, up to so many bytes. */
function atMost({ name, size }: ReleaseArtifact, most: number) {
  return async function* (chunks: AsyncIterable<Buffer>) {
    let left = most;
    for await (const chunk of chunks) {
      left -= chunk.length;
      if (left < 0) throw new AgentError('update.damaged', { file: name, reason: `It is longer than ${size} bytes.` });
      yield chunk;
    }
  };
}

function asFailure(error: unknown, file: string): unknown {
  const { code = '' } = error as NodeJS.ErrnoException;
  if (['ECONNRESET', 'ERR_STREAM_PREMATURE_CLOSE', 'ABORT_ERR'].includes(code)) {
    const errors = [{ path: '', code: 'cut', message: `ends before it is whole: ${file} was cut on its way` }];
    return new AgentError('request.invalid', { errors }, { cause: error });
  }
  if (code !== 'ENOSPC' && code !== 'EDQUOT') return error;
  return new AgentError('disk.full', { reason: `There is no room for ${file}.`, file }, { cause: error });
}

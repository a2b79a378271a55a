/** What a project says of itself, held against its files, and the images that it is built on, as they are now. */
import { buffer } from 'node:stream/consumers';
import { AgentError } from '../../contract/failures.ts';
import type { PathError } from '../../contract/validate.ts';
import { mapAtMost } from '../../kit/map-at-most.ts';
import { type Tarball, TarballRefused } from '../../kit/tarball/tarball.ts';
import { contentOf, contextOf as tarOfContext } from '../../kit/tarball/write-tar.ts';
import { checkAgainstFiles, contextOf, dockerfileOf } from '../../manifests/computalot/check-against-files.ts';
import type { ProjectManifest } from '../../manifests/computalot/manifest.ts';
import { readManifest } from '../../manifests/computalot/read-manifest.ts';
import { readDockerfile } from '../../policy/dockerfile.ts';
import type { Revision } from '../db/entities/revision.ts';
import { type Resolving, resolveImage } from '../jobs/resolve-images.ts';

export type ReadProject =
  | { readonly ok: false; readonly errors: readonly PathError[] }
  | {
      readonly ok: true;
      readonly manifest: unknown;
      readonly warnings: readonly PathError[];
      readonly bases: Revision['bases'];
    };

const maxDockerfileBytes = 1024 * 1024;
/** Images that are asked for at a time. */
const together = 4;
const dockerfilePath = '/build/dockerfile';

/** Every error at once; the registries are asked. Errors of the Dockerfile are those of the field that names it. */
export async function readProject(
  tarball: Tarball,
  document: unknown,
  resolving: Resolving,
  signal: AbortSignal,
): Promise<ReadProject> {
  const read = readManifest(document);
  if (!read.ok) return read;
  const { manifest, warnings } = read;
  const dockerfile = await basesOf(tarball, manifest);
  const { bases, errors: unknown } = await resolveBases(dockerfile.names, resolving, signal);
  const errors = [
    ...checkAgainstFiles(manifest, tarball),
    ...linksOutOf(tarball, contextOf(manifest)),
    ...dockerfile.errors,
    ...unknown,
  ];
  return errors.length > 0 ? { ok: false, errors } : { ok: true, manifest, warnings, bases };
}

/** Links that lead out of the folder that a build sees: no builder takes them. */
function linksOutOf(tarball: Tarball, context: string): PathError[] {
  const folder = tarball.find(context);
  if (folder !== 'root' && folder?.type !== 'directory') return [];
  try {
    tarOfContext(tarball, context);
    return [];
  } catch (error) {
    if (!(error instanceof TarballRefused)) throw error;
    return error.troubles.map(({ code, path, message }) => ({
      path: '/build/context',
      code,
      message: `${path} ${message}`,
    }));
  }
}

async function basesOf(tarball: Tarball, manifest: ProjectManifest) {
  const path = dockerfileOf(manifest);
  const found = tarball.find(path);
  // What is not there is told by whoever looks for files.
  if (typeof found !== 'object' || found.type !== 'file') return { names: [], errors: [] };
  if (found.size > maxDockerfileBytes) {
    const message = `is larger than ${maxDockerfileBytes} bytes`;
    return { names: [], errors: [{ path: dockerfilePath, code: 'too_large', message }] };
  }
  const text = (await buffer(contentOf(tarball, path).stream())).toString('utf8');
  const read = readDockerfile(text, { args: manifest.build?.args ?? {}, target: manifest.build?.target });
  if (read.ok) return { names: read.dockerfile.bases, errors: [] };
  const errors = read.errors.map(({ line, code, message }) => ({
    ...{ path: dockerfilePath, code, message: `line ${line} of ${path} ${message}` },
  }));
  return { names: [], errors };
}

async function resolveBases(names: readonly string[], resolving: Resolving, signal: AbortSignal) {
  const bases: Revision['bases'] = [];
  const errors: PathError[] = [];
  await mapAtMost(together, names, async (from) => {
    try {
      const { reference, media_type } = await resolveImage(from, undefined, resolving, signal);
      bases.push({ from, reference, media_type });
    } catch (error) {
      signal.throwIfAborted();
      const { code, message } = error instanceof AgentError ? error : new AgentError('internal', {}, { cause: error });
      errors.push({ path: dockerfilePath, code, message: `names ${from}: ${message}` });
    }
  });
  return { bases: bases.toSorted((a, b) => (a.from < b.from ? -1 : 1)), errors };
}

/** A project and the images that it is built on, as they are now. */
import { AgentError } from '../../contract/failures.ts';
import type { PathError } from '../../contract/validate.ts';
import { mapAtMost } from '../../kit/map-at-most.ts';
import type { Tarball } from '../../kit/tarball/tarball.ts';
import type { Revision } from '../db/entities/revision.ts';
import { type Resolving, resolveImage } from '../jobs/resolve-images.ts';
import { judgeFiles } from './judge-files.ts';

export type ReadProject =
  | { readonly ok: false; readonly errors: readonly PathError[] }
  | {
      readonly ok: true;
      readonly manifest: unknown;
      readonly warnings: readonly PathError[];
      readonly bases: Revision['bases'];
    };

/** Images that are asked for at a time. */
const together = 4;
/** More than any disk has: what is larger is as large. */
const maxBytes = 2 ** 40;
const dockerfilePath = '/build/dockerfile';

/** Every error at once; the registries are asked. */
export async function readProject(
  tarball: Tarball,
  document: unknown,
  resolving: Resolving,
  signal: AbortSignal,
): Promise<ReadProject> {
  const { errors: offline, warnings, bases: names } = await judgeFiles(tarball, document);
  const { bases, errors: unknown } = await resolveBases(names, resolving, signal);
  const errors = [...offline, ...unknown];
  return errors.length > 0 ? { ok: false, errors } : { ok: true, manifest: document, warnings, bases };
}

async function resolveBases(names: readonly string[], resolving: Resolving, signal: AbortSignal) {
  const bases: Revision['bases'] = [];
  const errors: PathError[] = [];
  await mapAtMost(together, names, async (from) => {
    try {
      const { image, bytes } = await resolveImage(from, undefined, resolving, signal);
      bases.push({ from, reference: image.reference, media_type: image.media_type, bytes: Math.min(bytes, maxBytes) });
    } catch (error) {
      signal.throwIfAborted();
      const { code, message } = error instanceof AgentError ? error : new AgentError('internal', {}, { cause: error });
      errors.push({ path: dockerfilePath, code, message: `names ${from}: ${message}` });
    }
  });
  return { bases: bases.toSorted((a, b) => (a.from < b.from ? -1 : 1)), errors };
}

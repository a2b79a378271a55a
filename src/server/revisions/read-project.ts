/** What a project says of itself, held against its files, and the images that it is built on, as they are now. */
import type { PathError } from '../../contract/validate.ts';
import type { Tarball } from '../../kit/tarball/tarball.ts';
import type { Revision } from '../db/entities/revision.ts';
import type { Resolving } from '../jobs/resolve-images.ts';

export type ReadProject =
  | { readonly ok: false; readonly errors: readonly PathError[] }
  | {
      readonly ok: true;
      readonly manifest: unknown;
      readonly warnings: readonly PathError[];
      readonly bases: Revision['bases'];
    };

/** Every error at once; the registries are asked. */
export async function readProject(
  _tarball: Tarball,
  _manifest: unknown,
  _resolving: Resolving,
  _signal: AbortSignal,
): Promise<ReadProject> {
  return { ok: false, errors: [{ path: '', code: 'unsupported', message: 'is of a kind that is not taken yet' }] };
}

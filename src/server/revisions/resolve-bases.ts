/** The images that a project is built on, as they are now. */
import { AgentError } from '../../contract/failures.ts';
import type { PathError } from '../../contract/validate.ts';
import { mapAtMost } from '../../kit/map-at-most.ts';
import { readImageName } from '../../manifests/image-name.ts';
import type { Revision } from '../db/entities/revision.ts';
import { type Resolving, resolveImage } from '../jobs/resolve-images.ts';

export interface Asking {
  /** Nothing is told any more once it is aborted. */
  readonly signal: AbortSignal;
  /** Registries that have not answered when it is aborted are told as silent, by their names. */
  readonly patience: AbortSignal;
}

/** Images that are asked for at a time. */
const together = 4;
/** More than any disk has: what is larger is as large. */
const maxBytes = 2 ** 40;
const dockerfilePath = '/build/dockerfile';

/** Those that are there, and of the others why not. */
export async function resolveBases(
  names: readonly string[],
  resolving: Resolving,
  { signal, patience }: Asking,
): Promise<{ readonly bases: Revision['bases']; readonly errors: readonly PathError[] }> {
  const bases: Revision['bases'] = [];
  const errors: PathError[] = [];
  const either = AbortSignal.any([signal, patience]);
  await mapAtMost(together, names, async (from) => {
    const wasAsked = !patience.aborted;
    try {
      const { image, bytes } = await resolveImage(from, undefined, resolving, either);
      bases.push({ from, reference: image.reference, media_type: image.media_type, bytes: Math.min(bytes, maxBytes) });
    } catch (error) {
      signal.throwIfAborted();
      const { code, message } = patience.aborted ? outOfTime(from, error, wasAsked) : asFailure(error);
      errors.push({ path: dockerfilePath, code, message: `names ${from}: ${message}` });
    }
  });
  return { bases: bases.toSorted((a, b) => (a.from < b.from ? -1 : 1)), errors };
}

/** What is wrong with a name of which no registry was to be asked is told as ever. */
function outOfTime(from: string, cause: unknown, wasAsked: boolean): AgentError {
  const host = readImageName(from)?.host;
  const isOwn = cause instanceof AgentError && cause.code !== 'image.pull_failed';
  if (host === undefined || isOwn) return asFailure(cause);
  const reason = wasAsked
    ? `The registry ${host} does not answer, or not in time.`
    : `The registry ${host} was not asked: others had not answered before.`;
  return new AgentError('image.pull_failed', { reason }, { cause });
}

function asFailure(error: unknown): AgentError {
  return error instanceof AgentError ? error : new AgentError('internal', {}, { cause: error });
}

/** Which repositories artifacts may come from (G-212). */
import { AgentError } from '../../contract/failures.ts';
import { parseImageReference } from '../../policy/image-reference.ts';

/** Any digest: only what stands before it is of interest. */
const someDigest = `sha256:${'0'.repeat(64)}`;

/**
 * Host and path of a repository as it is written in an artifact: the registry that is written there is the one that is
 * asked. `artifact.refused` for a registry that the operator does not accept.
 */
export function acceptedRepository(
  where: string,
  registries: readonly string[],
): { readonly host: string; readonly path: string } {
  let parsed: ReturnType<typeof parseImageReference>;
  try {
    parsed = parseImageReference(`${where}@${someDigest}`);
  } catch (error) {
    if (!(error instanceof AgentError)) throw error;
    const message =
      'must be a registry with its repository, such as registry.example.com/curated/app, without tag, digest or user';
    throw new AgentError('request.invalid', { errors: [{ path: '/repository', code: 'repository', message }] });
  }
  const { host, repository: path } = parsed;
  if (!registries.includes(host)) {
    throw new AgentError('artifact.refused', { reason: `${host} is not one of ${registries.join(', ')}.` });
  }
  return { host, path };
}

/** Lets refusals of the params point into the task as a whole, like those of its schema. */
import { AgentError, type FailureDetail, type Json } from '../contract/failures.ts';

/** Runs a check of the params; paths in what it throws are put below `/params`. */
export function underParams<T>(check: () => T): T {
  try {
    return check();
  } catch (error) {
    if (error instanceof AgentError && Array.isArray(error.detail['errors'])) {
      throw new AgentError(error.code, rooted(error.detail, error.detail['errors'] as Json[]), { cause: error });
    }
    throw error;
  }
}

function rooted(detail: FailureDetail, errors: readonly Json[]): FailureDetail {
  const roots = errors.map((error) => {
    const { path = '' } = error as { path?: string };
    return { ...(error as object), path: path.startsWith('/params') ? path : `/params${path}` };
  });
  return { ...detail, errors: roots };
}

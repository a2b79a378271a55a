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

/** The same of what a promise rejects with. */
export async function underParamsOf<T>(work: Promise<T>, pathOf: (path: string) => string): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof AgentError && Array.isArray(error.detail['errors'])) {
      const errors = (error.detail['errors'] as { path: string }[]).map((each) => ({
        ...each,
        path: pathOf(each.path),
      }));
      throw new AgentError(error.code, { ...error.detail, errors }, { cause: error });
    }
    throw error;
  }
}

function rooted(detail: FailureDetail, errors: readonly Json[]): FailureDetail {
  const { reason } = detail;
  return {
    ...detail,
    // The sentence begins with the path of the first error, where it has one.
    ...(typeof reason === 'string' && reason.startsWith('/') ? { reason: below(reason) } : {}),
    errors: errors.map((error) => ({ ...(error as object), path: below((error as { path?: string }).path ?? '') })),
  };
}

function below(path: string): string {
  return path.startsWith('/params') ? path : `/params${path}`;
}

/** Turns the findings of a check into one failure that names every refused path. */
import { AgentError, type FailureCode } from '../contract/failures.ts';
import type { PathError } from '../contract/validate.ts';

/** Errors that would each be a failure of this code on their own. */
export interface Finding {
  readonly failure: FailureCode;
  readonly errors: readonly PathError[];
}

/** Throws the failure of the first finding that has errors, with all errors of all findings in `detail.errors`. */
export function refuse(findings: readonly Finding[]): void {
  const errors = findings.flatMap((finding) => finding.errors);
  const failure = findings.find((finding) => finding.errors.length > 0)?.failure;
  const [first, ...more] = errors;
  if (first && failure) {
    const others = more.length > 0 ? ` (and ${more.length} more)` : '';
    throw new AgentError(failure, {
      reason: `${first.path} ${first.message}${others}.`.trimStart(),
      errors: errors.map((error) => ({ ...error })),
    });
  }
}

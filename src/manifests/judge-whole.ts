/** One verdict on a document, of its schema and of what no schema can say. */
import type { Static, TSchema } from 'typebox';
import { faultsOf, type Judged, judge, type PathError } from '../contract/validate.ts';
import { sure, surePartsOf } from './sure-parts.ts';

/**
 * Judges a document by its schema and by a check of what no schema can say, and tells what either finds. Every part of the
 * check that stands alone has to be within `sure` or `each`, or it goes with its neighbours.
 */
export function judgeWhole<S extends TSchema>(
  schema: S,
  document: unknown,
  check: (value: Static<S>) => readonly PathError[],
): Judged<Static<S>> {
  const judged = judge(schema, document);
  if (judged.ok) {
    const errors = distinct(check(judged.value));
    return errors.length === 0 ? judged : { ok: false, errors };
  }
  const faults = faultsOf(schema, document);
  return {
    ok: false,
    errors: [...judged.errors, ...distinct(sure(() => check(surePartsOf(document, faults) as Static<S>)))],
  };
}

/** What stands in one place for many parts may be wrong for each of them. */
function distinct(errors: readonly PathError[]): PathError[] {
  return [...new Map(errors.map((error) => [`${error.path} ${error.message}`, error])).values()];
}

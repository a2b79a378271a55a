/** From a document to a job definition that can be relied on: judged by its shape, and held against itself. */
import type { PathError } from '../../contract/validate.ts';
import { judgeWhole } from '../judge-whole.ts';
import { readDocument } from '../read-document.ts';
import { checkAsPlan } from './check-as-plan.ts';
import { checkDefinition } from './check-definition.ts';
import { JobDefinition } from './definition.ts';
import { warnAbout } from './warn-about.ts';

export type ReadDefinition =
  /** `warnings` are accepted and worth a look. */
  | { readonly ok: true; readonly definition: JobDefinition; readonly warnings: readonly PathError[] }
  /** All that is wrong, with JSON pointers. */
  | { readonly ok: false; readonly errors: readonly PathError[] };

/** Reads JSON or YAML. */
export function readDefinitionText(text: string): ReadDefinition {
  const read = readDocument(text);
  return read.ok ? readDefinition(read.value) : read;
}

/** Nothing is filled in or changed: what is kept of a job is what was submitted. */
export function readDefinition(document: unknown): ReadDefinition {
  const judged = judgeWhole(JobDefinition, document, checkDefinition);
  if (!judged.ok) return judged;
  const errors = checkAsPlan(judged.value);
  return errors.length === 0
    ? { ok: true, definition: judged.value, warnings: warnAbout(judged.value) }
    : { ok: false, errors };
}

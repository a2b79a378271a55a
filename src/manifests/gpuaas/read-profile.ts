/**
 * From a document to a profile that can be relied on: judged by schema, and held against itself.
 *
 * All that is wrong is said at once, with JSON pointers. Nothing is filled in or changed: what is stored is what was
 * written, and defaults are applied where values are resolved.
 */
import type { PathError } from '../../contract/validate.ts';
import { judgeWhole } from '../judge-whole.ts';
import { readDocument } from '../read-document.ts';
import { checkProfile, warnAbout } from './check-profile.ts';
import { profileKind, profileVersion, WorkloadProfile } from './profile.ts';

export type ReadProfile =
  /** `warnings` are accepted and worth a look. */
  | { readonly ok: true; readonly profile: WorkloadProfile; readonly warnings: readonly PathError[] }
  | { readonly ok: false; readonly errors: readonly PathError[] };

/** Reads JSON or YAML. */
export function readProfileText(text: string): ReadProfile {
  const read = readDocument(text);
  return read.ok ? readProfile(read.value) : read;
}

export function readProfile(document: unknown): ReadProfile {
  const foreign = findForeign(document);
  if (foreign) return { ok: false, errors: [foreign] };

  const judged = judgeWhole(WorkloadProfile, document, checkProfile);
  return judged.ok ? { ok: true, profile: judged.value, warnings: warnAbout(judged.value) } : judged;
}

/** Of a document of another kind or version, nothing but that is worth saying. */
function findForeign(document: unknown): PathError | undefined {
  const { kind, schema_version: version } = (document as { profile?: Record<string, unknown> } | null)?.profile ?? {};
  if (typeof kind === 'string' && kind !== profileKind) {
    return { path: '/profile/kind', code: 'unsupported_kind', message: `must be ${profileKind}` };
  }
  return typeof version === 'string' && version !== profileVersion
    ? { path: '/profile/schema_version', code: 'unsupported_version', message: `must be ${profileVersion}` }
    : undefined;
}

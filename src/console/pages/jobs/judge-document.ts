/**
 * A document of a job, judged by the code that the control plane judges it by, before it is sent. With its parsers it is larger
 * than the rest of the page, so it comes on its own.
 */
import type { PathError } from '../../../contract/validate.ts';
import { locator } from '../../../manifests/locate.ts';
import type { JobDefinition } from '../../../manifests/nosana/definition.ts';
import { groupNameOf, orderOf } from '../../../manifests/nosana/op-order.ts';
import { readDefinition } from '../../../manifests/nosana/read-definition.ts';
import { readDocument } from '../../../manifests/read-document.ts';
import type { GraphStep } from './graph-layout.ts';

/** A fault, with the line that it stands in; line and column are null for the document as a whole. */
export interface DocumentFault extends PathError {
  readonly line: number | null;
  readonly column: number | null;
}

export type DocumentVerdict =
  /** `steps`: what would run, in which order. */
  | { readonly ok: true; readonly warnings: readonly DocumentFault[]; readonly steps: readonly GraphStep[] }
  | { readonly ok: false; readonly errors: readonly DocumentFault[] };

/** JSON or YAML. */
export function judgeDocument(text: string): DocumentVerdict {
  const document = readDocument(text);
  // Where its parts stand cannot be told of a text that cannot be relied on.
  if (!document.ok) return { ok: false, errors: document.errors.map((error) => ({ ...error, ...nowhere })) };
  const other = otherKindOf(document.value);
  if (other !== undefined)
    return { ok: false, errors: [{ path: '', code: 'unknown_dialect', message: other, ...nowhere }] };
  const read = readDefinition(document.value);
  if (!read.ok) return { ok: false, errors: placeFaults(text, read.errors) };
  return { ok: true, warnings: placeFaults(text, read.warnings), steps: stepsOf(read.definition) };
}

/** Only for a text that `judgeDocument` could read. */
export function placeFaults(text: string, faults: readonly PathError[]): DocumentFault[] {
  const locate = faults.some(({ path }) => path !== '') ? locator(text) : undefined;
  return faults.map((fault) => ({ ...fault, ...(locate?.(fault.path) ?? nowhere) }));
}

const nowhere = { line: null, column: null } as const;

/** Why a document is none that can be submitted here, where it is of another kind. */
function otherKindOf(document: unknown): string | undefined {
  const has = (key: string) => typeof document === 'object' && document !== null && Object.hasOwn(document, key);
  if (has('ops')) return undefined;
  if (has('profile')) return 'is the manifest of an app, and no job: apps are launched from the catalog';
  return has('payload') || has('compManifest')
    ? 'is a Golem manifest, which comes with a batch of commands: gpuaas jobs submit FILE --script BATCH'
    : undefined;
}

function stepsOf(definition: JobDefinition): GraphStep[] {
  const runs = definition.ops.filter(({ type }) => type === 'container/run');
  const { waitsFor } = orderOf(definition);
  return runs.map((op) => ({ id: op.id, name: op.id, group: groupNameOf(op), depends_on: waitsFor(op.id) }));
}

/** From a document to a computation payload manifest that can be relied on: its shape, its dates, and each of its rules. */
import { PayloadManifest } from '../../contract/payload-manifest.ts';
import type { PathError } from '../../contract/validate.ts';
import { type CommandMode, readCommandRules } from '../../policy/promises/command-rules.ts';
import { checkDates, checkTime } from '../../policy/promises/dates.ts';
import { readNetworkRules } from '../../policy/promises/network-rules.ts';
import { checkPayload } from '../../policy/promises/payloads.ts';
import { judgeWhole } from '../judge-whole.ts';
import { each, sure } from '../sure-parts.ts';
import { warnAbout } from './warn-about.ts';

export interface Reading {
  /** How its rules are read, `strict` if absent. */
  readonly mode?: CommandMode;
  /** Milliseconds since 1970; whether it holds at that time is not asked if absent. */
  readonly now?: number;
}

export type ReadPayloadManifest =
  /** `warnings` are accepted and worth a look. */
  | { readonly ok: true; readonly manifest: PayloadManifest; readonly warnings: readonly PathError[] }
  /** All that is wrong, with JSON pointers. */
  | { readonly ok: false; readonly errors: readonly PathError[] };

/** Nothing is filled in or changed: what is kept of a job is what was submitted. */
export function readPayloadManifest(document: unknown, { mode = 'strict', now }: Reading = {}): ReadPayloadManifest {
  const judged = judgeWhole(PayloadManifest, document, (manifest) => [
    ...sure(() => checkDates(manifest)),
    ...sure(() => (now === undefined ? [] : checkTime(manifest, now))),
    ...sure(() => checkPayloads(manifest)),
    ...sure(() => errorsOf(readCommandRules(manifest, mode))),
    ...sure(() => errorsOf(readNetworkRules(manifest))),
  ]);
  if (!judged.ok) return judged;
  return { ok: true, manifest: judged.value, warnings: warnAbout(judged.value, mode) };
}

function checkPayloads({ payload }: PayloadManifest): readonly PathError[] {
  return each(payload, (one, index) =>
    checkPayload(one).map((error) => ({ ...error, path: `/payload/${index}${error.path}` })),
  );
}

function errorsOf(read: { readonly ok: boolean; readonly errors?: readonly PathError[] }): readonly PathError[] {
  return read.errors ?? [];
}

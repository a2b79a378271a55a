/** Reads a computation payload manifest, as JSON or as the base64 of it, which is how one travels that is signed. */
import { PayloadManifest } from '../../contract/payload-manifest.ts';
import { readStrictJson } from '../../contract/strict-json.ts';
import { type Judged, judge, type PathError } from '../../contract/validate.ts';
import { checkDates } from './dates.ts';
import { checkPayload } from './payloads.ts';

/** Every error with its path in the manifest. Its rules are read for themselves, as what they mean depends on the mode. */
export function readManifest(text: string): Judged<PayloadManifest> {
  const bytes = /^\s*\{/.test(text) ? new TextEncoder().encode(text) : bytesOf(text);
  if (!bytes) return { ok: false, errors: [{ path: '', code: 'base64', message: 'is neither JSON nor base64 of it' }] };
  const json = readStrictJson(bytes);
  if (!json.ok) return json;
  const judged = judge(PayloadManifest, json.value);
  if (!judged.ok) return judged;
  const errors = [...checkDates(judged.value), ...checkPayloads(judged.value)];
  return errors.length === 0 ? judged : { ok: false, errors };
}

function checkPayloads({ payload }: PayloadManifest): PathError[] {
  return payload.flatMap((each, index) =>
    checkPayload(each).map((error) => ({ ...error, path: `/payload/${index}${error.path}` })),
  );
}

function bytesOf(base64: string): Uint8Array | undefined {
  const isWhole = base64.length % 4 === 0 && /^[A-Za-z0-9+/]+={0,2}$/.test(base64);
  return isWhole ? Uint8Array.from(atob(base64), (character) => character.charCodeAt(0)) : undefined;
}

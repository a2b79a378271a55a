/** When a manifest holds. */
import type { PayloadManifest } from '../../contract/payload-manifest.ts';

/** A clock that is ahead by no more than this is not taken for a lie. */
export const clockLeewayMs = 5 * 60_000;

export type Dates =
  | { readonly ok: true; readonly expiresMs: number | undefined }
  | { readonly ok: false; readonly code: 'manifest.expired' | 'manifest.refused'; readonly why: string };

/** `now` in milliseconds since 1970; `why` is a sentence. */
export function judgeDates(
  { createdAt, expiresAt }: Pick<PayloadManifest, 'createdAt' | 'expiresAt'>,
  now: number,
): Dates {
  const [createdMs, expiresMs] = [createdAt, expiresAt].map((text) =>
    text === undefined ? undefined : Date.parse(text),
  );
  if (Number.isNaN(createdMs) || Number.isNaN(expiresMs)) {
    return { ok: false, code: 'manifest.refused', why: 'It names a day that there is not.' };
  }
  if (expiresMs !== undefined && now >= expiresMs) {
    return { ok: false, code: 'manifest.expired', why: `It held until ${expiresAt}.` };
  }
  if (createdMs !== undefined && createdMs > now + clockLeewayMs) {
    return { ok: false, code: 'manifest.refused', why: `It was made at ${createdAt}, which is yet to come.` };
  }
  return { ok: true, expiresMs };
}

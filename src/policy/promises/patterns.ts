/** Expressions of strangers, which are matched in time linear to what they are held against. */
import { RE2JS } from 're2js';
import { maxRegexSize, regexSize } from '../../contract/regex-size.ts';

export type ReadPattern =
  | { readonly ok: true; readonly pattern: RE2JS; readonly size: number }
  | { readonly ok: false; readonly reason: string };

export function readPattern(source: string): ReadPattern {
  const size = regexSize(source);
  if (size > maxRegexSize) return { ok: false, reason: 'is an expression that is too large' };
  try {
    return { ok: true, pattern: RE2JS.compile(source), size };
  } catch (error) {
    const why = error instanceof Error ? error.message.replace(/^error parsing regexp: /, '') : String(error);
    return { ok: false, reason: `is no expression that is understood, such as one that looks around: ${why}` };
  }
}

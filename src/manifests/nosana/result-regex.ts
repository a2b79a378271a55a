/** Expressions that results are read with. They come from strangers, so they run on an engine whose time is linear. */
import { RE2JS } from 're2js';
import { maxRegexSize, regexSize } from '../../contract/regex-size.ts';

export type ReadRegex = { readonly ok: true; readonly regex: RE2JS } | { readonly ok: false; readonly message: string };

/** What such an engine cannot do is refused where the job is submitted, not on the host. */
export function readResultRegex(text: string): ReadRegex {
  if (regexSize(text) > maxRegexSize) return { ok: false, message: 'repeats too much that is too long' };
  try {
    return { ok: true, regex: RE2JS.compile(text) };
  } catch (error) {
    const { message } = error as Error;
    return {
      ok: false,
      message: `is no expression that can be used: ${message.replace(/^error parsing regexp: /, '')}`,
    };
  }
}

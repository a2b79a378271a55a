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
    const reason = looksAround(text) ? noLookAround : message.replace(/^error parsing regexp: /, '');
    return { ok: false, message: `is no expression that can be used: ${reason}` };
  }
}

const noLookAround =
  'look-around, as (?=…) or (?<=…), is not possible; match what stands there as well, and put what is wanted into a group';

/** `(?=`, `(?!`, `(?<=` or `(?<!`, of which the engine only says that they are no names of groups. */
function looksAround(text: string): boolean {
  return /\(\?<?[=!]/.test(text.replaceAll(/\\./gs, ''));
}

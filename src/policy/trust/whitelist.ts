/** Hosts that a manifest may name without anybody's signature. */
import { RE2JS } from 're2js';
import { maxRegexSize, regexSize } from '../../contract/regex-size.ts';
import type { WhitelistEntry } from './trust-settings.ts';

/** The entry as it is kept, or why it can be none; `why` continues a sentence that begins with the pattern. */
export function readWhitelistEntry(
  entry: WhitelistEntry,
): { readonly ok: true; readonly entry: WhitelistEntry } | { readonly ok: false; readonly why: string } {
  if (entry.match === 'regex') {
    const why = whyNoRegex(entry.pattern);
    return why === undefined ? { ok: true, entry } : { ok: false, why };
  }
  const pattern = hostOf(`http://${entry.pattern}`);
  return pattern !== undefined && isHostAlone(entry.pattern)
    ? { ok: true, entry: { ...entry, pattern } }
    : { ok: false, why: 'is not the name of a host: give it without scheme, port and path' };
}

/** Whether an entry has the host; one that cannot be read has none. `host` in lower case and ASCII. */
export function whitelistHas(whitelist: readonly WhitelistEntry[], host: string): boolean {
  return whitelist.some((each) => {
    const read = readWhitelistEntry(each);
    if (!read.ok) return false;
    const { pattern, match } = read.entry;
    return match === 'strict' ? pattern === host : RE2JS.compile(pattern, RE2JS.CASE_INSENSITIVE).matcher(host).find();
  });
}

/** In lower case, of international names the form in ASCII, without a dot at the end; undefined for what is no URL with a host. */
function hostOf(url: string): string | undefined {
  try {
    return new URL(url).hostname.toLowerCase().replace(/\.$/, '') || undefined;
  } catch {
    return undefined;
  }
}

/** An address of IPv6 is the only one with colons. */
function isHostAlone(text: string): boolean {
  return !/[\s/?#@\\%*]/.test(text) && (!text.includes(':') || /^\[[0-9A-Fa-f:.]+\]$/.test(text));
}

function whyNoRegex(pattern: string): string | undefined {
  if (regexSize(pattern) > maxRegexSize) return 'is an expression that is too large';
  try {
    RE2JS.compile(pattern, RE2JS.CASE_INSENSITIVE);
    return undefined;
  } catch (error) {
    return `is no expression of RE2: ${error instanceof Error ? error.message : String(error)}`;
  }
}

/** What a path in a tarball of a stranger may be. */
import type { TarTrouble, TarTroubleCode } from './tarball.ts';

const most = { path: 1024, segment: 255, depth: 64 } as const;

/** Control characters, and those that turn the text around them: no path needs them, and a terminal shows another one. */
const control = /[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/u;

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** The text; undefined for what is not UTF-8. */
export function textOf(bytes: Uint8Array): string | undefined {
  try {
    return decoder.decode(bytes);
  } catch (error) {
    if (error instanceof TypeError) return undefined;
    throw error;
  }
}

/**
 * The path as it is kept, without the `./` before it and the slash behind it that programs write; empty for the root. Or what is
 * wrong with it.
 */
export function judgePath(bytes: Uint8Array): { readonly path: string } | TarTrouble {
  const text = textOf(bytes);
  const wrong = (code: TarTroubleCode, message: string) => ({ path: printed(bytes), code, message });
  if (text === undefined) return wrong('path.encoding', 'is no UTF-8');
  if (text.includes('\0')) return wrong('path.nul', 'has a NUL in its path');
  if (bytes.length > most.path) return wrong('path.long', `is longer than ${most.path} bytes`);
  if (control.test(text)) return wrong('path.control', 'has a control character in its path');
  if (text.includes('\\')) return wrong('path.backslash', 'has a backslash in its path');
  if (text.startsWith('/')) return wrong('path.absolute', 'is an absolute path');
  const path = text.replace(/^\.\//, '').replace(/\/$/, '');
  if (path === '' || path === '.') return text === '' ? wrong('path.empty', 'has no path') : { path: '' };
  const segments = path.split('/');
  if (segments.includes('..')) return wrong('path.climbs', 'climbs by .. in its path');
  if (segments.includes('') || segments.includes('.'))
    return wrong('path.empty', 'has an empty segment or a . in its path');
  if (segments.length > most.depth) return wrong('path.deep', `lies more than ${most.depth} folders deep`);
  if (segments.some((segment) => Buffer.byteLength(segment) > most.segment)) {
    return wrong('path.long', `has a name of more than ${most.segment} bytes`);
  }
  return { path };
}

/** A link's target: any path without what no path may have; where it leads is judged once all entries are known. */
export function judgeTarget(path: string, bytes: Uint8Array): { readonly target: string } | TarTrouble {
  const target = textOf(bytes);
  const wrong = (code: TarTroubleCode, message: string) => ({ path, code, message });
  if (target === undefined) return wrong('path.encoding', 'is a link to what is no UTF-8');
  if (target.includes('\0')) return wrong('path.nul', 'is a link to a path with a NUL');
  if (target === '') return wrong('path.empty', 'is a link to nothing');
  if (bytes.length > most.path) return wrong('path.long', `is a link to a path of more than ${most.path} bytes`);
  if (control.test(target)) return wrong('path.control', 'is a link to a path with a control character');
  if (target.includes('\\')) return wrong('path.backslash', 'is a link to a path with a backslash');
  return { target };
}

/** For people: nothing in it moves a cursor, and it has an end. What fills a field up is no part of it. */
export function printed(bytes: Uint8Array): string {
  const text = new TextDecoder().decode(bytes.subarray(0, 200)).replace(/\0+$/, '');
  return text.replaceAll(new RegExp(control, 'gu'), '\u{fffd}') + (bytes.length > 200 ? '…' : '');
}
